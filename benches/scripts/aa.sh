#!/usr/bin/env bash
# Does the lab claim differences where there are none? Runs REPETITIONS small comparisons of an engine with itself: `mio`, the same
# server under the name `same`, and the A/A twin that every run has. Counts the repetitions in which anything is claimed.
#
#   bash benches/scripts/aa.sh [REPETITIONS] [SEED]        20 repetitions take about seven minutes
#
# Exit code 1 when more than a tenth of the repetitions claim a difference.
set -euo pipefail
cd "$(dirname "$0")/../.."
repetitions=${1:-20}
seed=${2:-1}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/engines.toml" <<'TOML'
[[engine]]
name = "mio"
package = "server-mio"
binary = "server-mio"
interface = "epoll"

[[engine]]
name = "same"
package = "server-mio"
binary = "server-mio"
interface = "epoll"
TOML
cat >"$folder/aa.toml" <<'TOML'
name = "aa"
question = "Does an engine differ from itself?"
engines = ["mio", "same"]
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
rate = 20_000.0
connections = 200
warmup_seconds = 0.1
measure_seconds = 0.5
[rounds]
count = 7
syscalls = false
TOML
claims=0
for repetition in $(seq "$repetitions"); do
    cargo lab run "$folder/aa.toml" --engines "$folder/engines.toml" --seed $((seed + repetition)) --out "$folder/$repetition" --json \
        >"$folder/summary.json" 2>"$folder/log" || { cat "$folder/log" >&2; exit 3; }
    # A line a claim: figure, engine, ratio. The pair itself counts as much as the engine that is not known to be the same.
    python3 - "$folder/summary.json" >"$folder/claims" <<'PY'
import json, sys
verdict = json.load(open(sys.argv[1]))["verdict"]
for figure in verdict["figures"]:
    for found in figure["overall"] + figure["cells"]:
        if found["call"] in ("less", "more"):
            print(figure["figure"], found["engine"], f"{found['ratio']:.3f}x")
    for band in figure["bands"]:
        if band["claims"]:
            print(figure["figure"], band["twin"], "differs from itself")
PY
    if [ -s "$folder/claims" ]; then
        claims=$((claims + 1))
        echo "repetition $repetition claims: $(sort -u "$folder/claims" | paste -sd ';')"
    else
        echo "repetition $repetition: no evidence of a difference"
    fi
done
echo "$claims of $repetitions repetitions claim a difference"
[ $((claims * 10)) -le "$repetitions" ]
