#!/usr/bin/env bash
# Do other people's load generators agree with the lab's? One server, the same requests, 100 connections over HTTP/1.1 in closed loop
# from the same core, by wrk, h2load, oha (where it is on the path: cargo install oha) and the lab, interleaved. Side by side: requests a
# second, mean latency as each tool says it, and what the server itself spent for a request, read from its own CPU clock, which no tool can
# see differently.
#
#   bash benches/scripts/cross-check.sh [ROUNDS] [SECONDS] [ENGINE]      needs wrk and h2load (apt-get install wrk nghttp2-client)
#   PROFILE=dev bash benches/scripts/cross-check.sh 3 1                  does it work here? a debug build, half a minute
#
# The lab runs twice a round: what it differs from itself is the noise band. The verdict is on the server's CPU per request; rates
# are shown, and differ where generators spend different time per request, since all of them share the box with the server.
# Exit code 0 when each tool agrees within the band, 1 when one does not (with the likeliest reasons), 3 when a tool is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-7}
seconds=${2:-3}
engine=${3:-mio}
connections=100
for tool in wrk h2load; do
    command -v "$tool" >/dev/null || { echo "$tool is missing: apt-get install wrk nghttp2-client" >&2; exit 3; }
done
others=(wrk h2load)
if command -v oha >/dev/null; then others+=(oha); fi
profile=${PROFILE:-measured}
for package in lab "server-$engine"; do
    cargo build --quiet --locked --profile "$profile" --package "$package"
done
folder=${profile/#dev/debug}
bin="${CARGO_TARGET_DIR:-target}/$folder"
# The server has the first core of this process, all generators the second.
mapfile -t cores < <(python3 -c 'import os; print(*sorted(os.sched_getaffinity(0))[:2], sep="\n")')

coproc server { exec taskset --cpu-list "${cores[0]}" "$bin/server-$engine" --listen 127.0.0.1:0 --protocol http1 --format json; }
server_pid=$server_PID
rows=$(mktemp)
trap 'kill "$server_pid" 2>/dev/null || true; rm -f "$rows"' EXIT
read -r ready <&"${server[0]}"
address=$(sed -E 's/.*"addresses":\["([^"]+)".*/\1/' <<<"$ready")
url="http://$address/demo/notes?offset=0&limit=5"

server_cpu() { # CPU nanoseconds of the server so far, all threads: its CPU-time clock (clock_getcpuclockid(3))
    python3 -c 'import sys, time; print(time.clock_gettime_ns((~int(sys.argv[1]) << 3) | 2))' "$server_pid"
}

run() { # TOOL: prints requests, requests a second and mean latency in microseconds
    local on=(taskset --cpu-list "${cores[1]}")
    case $1 in
    wrk)
        "${on[@]}" wrk -t 1 -c "$connections" -d "${seconds}s" "$url" | awk '
            function us(t) { if (t ~ /us$/) return t + 0; if (t ~ /ms$/) return t * 1000; return t * 1000000 }
            $1 == "Latency" { mean = us($2) }
            / requests in / { requests = $1 }
            $1 == "Requests/sec:" { rate = $2 }
            END { print requests, rate, mean }'
        ;;
    h2load)
        "${on[@]}" h2load --h1 -t 1 -c "$connections" -D "$seconds" "$url" 2>/dev/null | awk '
            function us(t) { if (t ~ /us$/) return t + 0; if (t ~ /ms$/) return t * 1000; return t * 1000000 }
            /^finished in / { rate = $4 + 0 }
            /^requests:/ { for (i = 1; i < NF; i++) if ($(i + 1) == "succeeded,") requests = $i }
            /^time for request:/ { mean = us($6) }
            END { print requests, rate, mean }'
        ;;
    oha)
        "${on[@]}" oha --no-tui --output-format json -c "$connections" -z "${seconds}s" "$url" |
            python3 -c 'import json, sys; s = json.load(sys.stdin); n = sum(s["statusCodeDistribution"].values()); \
                print(n, s["summary"]["requestsPerSec"], s["summary"]["average"] * 1e6)'
        ;;
    lab*)
        "${on[@]}" "$bin/lab" load "$address" --protocol http1 --format json --service note --add-share 0 --page 5 --closed \
            --connections "$connections" --warmup 0 --duration "$seconds" --json |
            python3 -c 'import json, sys; s = json.load(sys.stdin); print(s["sent"], s["rate"], s["service_time"]["mean_us"])'
        ;;
    esac
}

for round in $(seq "$rounds"); do
    # In an order of its own each round: the box's slow spells hit everybody.
    for tool in $(printf '%s\n' "${others[@]}" lab lab-again | shuf --random-source=<(yes "$round")); do
        before=$(server_cpu)
        read -r requests rate mean < <(run "$tool") || true
        after=$(server_cpu)
        [ -n "${mean:-}" ] || { echo "$tool said nothing that is understood here: \"${requests:-} ${rate:-}\"" >&2; exit 3; }
        # To a person who waits; the table comes at the end.
        if [ -t 2 ]; then echo "round $round of $rounds: $tool" >&2; fi
        echo "$round $tool $requests $rate $mean $((after - before))" >>"$rows"
    done
done

echo "server-$engine ($profile), http1 json, $connections connections in closed loop, $rounds rounds of $seconds s"
python3 - "$rows" "${others[@]}" <<'PY'
import statistics, sys

rows = [line.split() for line in open(sys.argv[1])]
cells = {}
for round_, tool, requests, rate, mean, cpu in rows:
    busy = float(cpu) / 1e9 / (float(requests) / float(rate))
    cells[(tool, int(round_))] = (float(cpu) / 1e3 / float(requests), float(rate), float(mean), busy)
rounds = sorted({round_ for _, round_ in cells})
others = sys.argv[2:]


def ratios(tool, figure):
    return [cells[(tool, r)][figure] / cells[("lab", r)][figure] for r in rounds]


def middle(tool, figure):
    return statistics.median(cells[(tool, r)][figure] for r in rounds)


print(f"{'':10} {'requests/s':>12} {'mean µs':>9} {'server busy':>12} {'server CPU µs/request':>22} {'÷ lab':>7} {'range':>15}")
for tool in ("lab", "lab-again", *others):
    print(f"{tool:10} {middle(tool, 1):12,.0f} {middle(tool, 2):9.1f} {middle(tool, 3):12.0%} {middle(tool, 0):22.2f}", end="")
    if tool == "lab":
        print()
    else:
        all_ = ratios(tool, 0)
        print(f" {statistics.median(all_):7.3f} {min(all_):7.3f}–{max(all_):.3f}")
# The band: how far the lab comes out from itself in a round, to both sides.
band = max(max(ratio, 1 / ratio) for ratio in ratios("lab-again", 0))
print(f"noise band from lab and lab-again: ±{(band - 1) * 100:.1f} %")
apart = []
for tool in others:
    ratio = statistics.median(ratios(tool, 0))
    within = max(ratio, 1 / ratio) <= band
    print(f"{tool}: the server's CPU per request is {(ratio - 1) * 100:+.1f} % of the lab's: {'within' if within else 'OUTSIDE'} the band")
    if not within:
        apart.append(tool)
        print(
            f"    it sent {middle(tool, 1) / middle('lab', 1):.2f} times the lab's requests/s and kept the server busy for {middle(tool, 3):.0%} of the "
            f"time (the lab {middle('lab', 3):.0%})"
        )
if apart:
    print(
        "Likeliest reasons, in this order: how deep the server's batches are (a faster generator has more requests ready per wake-up, and a\n"
        "request costs less; compare requests/s), bytes of a request (each tool sends its own headers), connections in step (some start all at once)."
    )
sys.exit(bool(apart))
PY
