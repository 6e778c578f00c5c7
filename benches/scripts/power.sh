#!/usr/bin/env bash
# How small a regression does the lab find, and how often does it find one that is not there? Compares `mio` with itself, and with itself
# plus a known amount of work for each request (`--fault spin:NS`, calibrated to the CPU clock): 10 % and 5 % of what a request
# costs here, which a first run measures.
#
#   bash benches/scripts/power.sh [TRIES] [PAIRS] [ROUNDS] [SEED] [PERCENTS]      20 tries, 40 pairs, 81 rounds, seed 1, "10 5": about an hour
#   bash benches/scripts/power.sh 20 0 49 1 10                                    ten percent alone, eight minutes
#   LAB=target/measured/lab LAB_BINARIES=$PWD/target/measured bash benches/scripts/power.sh     nothing is built
#
# Goals, by server CPU per request: 10 % and more found in 95 % of the tries, less in 80 %, and of the A/A pairs at most 5 % claimed. Exit code 1
# when one is missed; to be run on a box that does nothing else. Rounds are many and trials a tenth of a second: on a virtual machine the speed
# of a CPU changes for seconds at a time, so that a trial of half a second is no nearer to the truth than one of a tenth.
set -euo pipefail
cd "$(dirname "$0")/../.."
tries=${1:-20} pairs=${2:-40} rounds=${3:-81} seed=${4:-1} percents=${5-10 5}
for number in "$tries" "$pairs" "$rounds" "$seed" $percents; do
    [[ $number =~ ^[0-9]+$ ]] || { echo "power.sh: $number is no number; usage: power.sh [TRIES] [PAIRS] [ROUNDS] [SEED] [PERCENTS]" >&2; exit 2; }
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

engines() { # NANOSECONDS: the engines file
    printf '[[engine]]\nname = "mio"\npackage = "server-mio"\nbinary = "server-mio"\ninterface = "epoll"\n'
    printf '[[engine]]\nname = "other"\npackage = "server-mio"\nbinary = "server-mio"\ninterface = "epoll"\n'
    [ "$1" = 0 ] || printf 'args = ["--fault", "spin:%s"]\n' "$1"
}
cat >"$folder/power.toml" <<'TOML'
name = "power"
question = "How small a regression is found?"
engines = ["mio", "other"]
twin = "mio"
protocols = ["frame"]
formats = ["json"]
[workload]
service = "note"
add_share = 0.25
page = 5
payload_bytes = 128
[load]
mode = "open"
rate = 40_000.0
connections = 200
warmup_seconds = 0.05
measure_seconds = 0.1
[rounds]
count = 81
syscalls = false
TOML

compare() { # NANOSECONDS REPETITION: the summary of one comparison to $folder/summary.json
    engines "$1" >"$folder/engines.toml"
    local out="$folder/$1-$2"
    ${LAB:-cargo lab} run "$folder/power.toml" --engines "$folder/engines.toml" --rounds "$rounds" --seed $((seed * 1000 + $2)) --out "$out" --json \
        >"$folder/summary.json" 2>"$folder/log" || { cat "$folder/log" >&2; exit 3; }
    rm -rf "$out"
}

ask() { # WHAT: a figure of the last comparison
    python3 - "$folder/summary.json" "$1" <<'PY'
import json, statistics, sys
summary = json.load(open(sys.argv[1]))
figure = next(figure for figure in summary["verdict"]["figures"] if figure["figure"] == "cpu")
found = next(found for found in figure["overall"] if found["engine"] == "other")
if sys.argv[2] == "cost":
    print(round(next(row["cpu_us_per_request"]["median"] for row in summary["rows"] if row["engine"] == "mio") * 1000))
elif sys.argv[2] == "call":
    print(found["call"], f"{found['ratio']:.3f}x" if found["ratio"] else "")
PY
}

compare 0 0
cost=$(ask cost)
echo "a request costs $cost ns of server CPU here; $rounds rounds a comparison"
missed=0
count() { # LABEL NANOSECONDS REPETITIONS: how many comparisons claim that `other` costs more, and how many that it costs less
    local more=0 less=0 call
    for repetition in $(seq "$3"); do
        compare "$2" "$repetition"
        call=$(ask call)
        case $call in more*) more=$((more + 1)) ;; less*) less=$((less + 1)) ;; esac
        echo "$1 $repetition: $call" >&2
    done
    found=$more claimed=$((more + less))
}
goal() { # WHAT VALUE OF PERCENT least|most
    [ "$3" != 0 ] || return 0
    local is
    is=$([ "$5" = least ] && echo $(($2 * 100 >= $3 * $4)) || echo $(($2 * 100 <= $3 * $4)))
    printf '%-28s %3d of %3d, wanted at %s %d %%: %s\n' "$1" "$2" "$3" "$5" "$4" "$([ "$is" = 1 ] && echo met || echo MISSED)"
    [ "$is" = 1 ] || missed=1
}
for percent in $percents; do
    count "$percent %" $((cost * percent / 100)) "$tries"
    goal "$percent % regression found" "$found" "$tries" $((percent < 10 ? 80 : 95)) least
done
count "A/A" 0 "$pairs"
goal "A/A pairs with a claim" "$claimed" "$pairs" 5 most
exit "$missed"
