#!/usr/bin/env bash
# What does a request cost the load generator itself, beside wrk's? Same server, same requests, 200 connections over HTTP/1.1,
# closed loop, interleaved, each on the core that the server does not have. Prints requests per CPU-second of both.
#
#   bash benches/scripts/generator-vs-wrk.sh [ROUNDS] [SECONDS]        needs wrk (apt-get install wrk)
#
# wrk does not look at bodies; the lab's generator checks every reply. Void when a round's ratio is compared across rounds: the
# median of the ratios within each round is the figure.
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-5}
seconds=${2:-4}
command -v wrk >/dev/null || { echo "wrk is missing: apt-get install wrk" >&2; exit 3; }
for package in lab server-mio; do
    cargo build --quiet --locked --profile measured --package "$package"
done
bin="${CARGO_TARGET_DIR:-target}/measured"

coproc server { exec taskset --cpu-list 0 "$bin/server-mio" --listen 127.0.0.1:0 --protocol http1 --format json; }
trap 'kill "$server_pid" 2>/dev/null || true' EXIT
server_pid=$server_PID
read -r ready <&"${server[0]}"
address=$(sed -E 's/.*"addresses":\["([^"]+)".*/\1/' <<<"$ready")

cpu_seconds() { # COMMAND...: its output to $output, its user + system seconds to $cpu
    local TIMEFORMAT='%U %S' times
    { times=$({ time "$@" >"$output" 2>/dev/null; } 2>&1); } || true
    cpu=$(awk '{ print $1 + $2 }' <<<"$times")
}

output=$(mktemp)
printf '%-6s %22s %22s %8s\n' round 'wrk: requests/CPU-s' 'lab: requests/CPU-s' ratio
ratios=()
for round in $(seq "$rounds"); do
    order=(wrk lab)
    [ $((round % 2)) = 0 ] && order=(lab wrk)
    for tool in "${order[@]}"; do
        if [ "$tool" = wrk ]; then
            cpu_seconds taskset --cpu-list 1 wrk -t 1 -c 200 -d "${seconds}s" "http://$address/demo/notes?offset=0&limit=5"
            wrk_rate=$(awk -v cpu="$cpu" '/ requests in / { print $1 / cpu }' "$output")
        else
            cpu_seconds taskset --cpu-list 1 "$bin/lab" load "$address" --protocol http1 --format json --service note --add-share 0 \
                --page 5 --closed --connections 200 --warmup 0 --duration "$seconds" --json
            lab_rate=$(awk -v cpu="$cpu" -F '[:,]' '/"sent"/ { print $2 / cpu }' "$output")
        fi
    done
    ratio=$(awk -v a="$lab_rate" -v b="$wrk_rate" 'BEGIN { printf "%.2f", a / b }')
    ratios+=("$ratio")
    printf '%-6s %22.0f %22.0f %8s\n' "$round" "$wrk_rate" "$lab_rate" "$ratio"
done
rm -f "$output"
printf '%s\n' "${ratios[@]}" | sort -n | awk '{ r[NR] = $1 } END { print "median ratio lab/wrk: " (NR % 2 ? r[(NR + 1) / 2] : (r[NR / 2] + r[NR / 2 + 1]) / 2) }'
