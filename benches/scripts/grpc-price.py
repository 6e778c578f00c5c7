#!/usr/bin/env python3
"""What the gateway's hop costs, and what tracing costs, on a connection.

    python3 benches/scripts/grpc-price.py hop [--rounds 7] [--rate 3000] [--seconds 3] [--clients 8] [--json]
    python3 benches/scripts/grpc-price.py tracing [the same]

`hop`: gRPC directly, JSON over HTTP/2 directly, JSON through the gateway to gRPC; adding a note and listing ten. `tracing`:
the JSON twin with tracing off, with timers, and with spans at several shares, exported to a local receiver or not.

h2load at an equal rate for all, on the last CPU; servers on the first, each in a fresh process, in an order that is shuffled
anew each round. CPU time is the processes' own (clock_getcpuclockid(3)) over the run, connecting included. System calls
are counted by perf in a pass of their own, since counting costs. Ratios and differences are taken within a round; the figure
is their median, and behind it the quartiles. Needs h2load (nghttp2-client); BIN names a directory of binaries that are built
already, otherwise they are built with the profile `measured`. Exit codes: 2 usage, 3 something is missing here, 4 void.
"""
import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

TEXT = "Da Nang, 64 bytes of a note that somebody adds on the way home.."
JSON_ADD = json.dumps({"text": TEXT}).encode()
PROTOBUF_ADD = bytes([0x0A, len(TEXT)]) + TEXT.encode()
PROTOBUF_LIST = bytes([0x08, 20, 0x10, 10])  # offset 20, limit 10
LIST_PATH = "/demo/notes?offset=20&limit=10"
# The kind of clock in a process's clock id (linux/posix-timers.h).
CPUCLOCK_SCHED = 2
# Longer than any server drains: a hang is an error, not a wait.
PATIENCE_SECONDS = 30
# Of the rate asked for. Below that the generator or the server was the limit, and the load was not equal.
RATE_SHARE = 0.95


def fail(code, says):
    print(f"error: {says}", file=sys.stderr)
    sys.exit(code)


def framed(message):
    """A gRPC message with its five bytes: not compressed, length."""
    return b"\0" + len(message).to_bytes(4, "big") + message


class Process:
    """A server: started, ready, pinned; SIGTERM, and what it counted."""

    def __init__(self, binary, *args, cpu):
        self.stderr = tempfile.TemporaryFile("w+")
        command = ["taskset", "-c", str(cpu), f"{BIN}/{binary}", "--listen", "127.0.0.1:0", *args]
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.stderr, text=True)
        line = self.child.stdout.readline()
        if not line:
            self.stderr.seek(0)
            fail(3, f"{' '.join(command)} did not start: {self.stderr.read().strip()}")
        self.address = json.loads(line)["addresses"][0]

    def cpu_us(self):
        """Of its CPU clock (clock_getcpuclockid(3)), which has the time of threads that have ended, too."""
        return time.clock_gettime_ns((~self.child.pid << 3) | CPUCLOCK_SCHED) / 1000

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        counters, _ = self.child.communicate(timeout=PATIENCE_SECONDS)
        self.stderr.seek(0)
        return json.loads(counters), self.stderr.read()

    def kill(self):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()


class Load:
    """What h2load sends: a path, headers, and a body in a file."""

    def __init__(self, path, body=None, grpc=False):
        self.path, self.file = path, None
        self.headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"] if grpc else []
        if body is not None:
            self.file = tempfile.NamedTemporaryFile()
            self.file.write(body)
            self.file.flush()

    def command(self, address, requests, clients, rate=None, log=None):
        command = ["taskset", "-c", str(LAST_CPU), "h2load", "-n", str(requests), "-c", str(clients), "-m", "1"]
        if rate:
            command += ["--rps", str(rate / clients)]
        if log:
            command += ["--log-file", log]
        if self.file:
            command += ["-d", self.file.name]
        return [*command, *self.headers, f"http://{address}{self.path}"]


def check(report, requests):
    """Every request was answered with success, or the run is void."""
    lines = {line.split(":")[0]: line for line in report.splitlines() if ":" in line}
    if f"{requests} succeeded, 0 failed" not in lines.get("requests", ""):
        fail(4, f"not every request was answered:\n{report}")


def percentile(sorted_values, share):
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))]


def measure(processes, load, options):
    """One run at the rate: CPU-us per request of each process, latencies, and the rate that was reached."""
    address = processes[-1].address
    warm_up = subprocess.run(load.command(address, 200, options.clients), capture_output=True, text=True, check=True)
    check(warm_up.stdout, 200)
    requests = int(options.rate * options.seconds)
    with tempfile.NamedTemporaryFile() as log:
        before = [process.cpu_us() for process in processes]
        run = load.command(address, requests, options.clients, options.rate, log.name)
        report = subprocess.run(run, capture_output=True, text=True, check=True).stdout
        spent = [(process.cpu_us() - start) / requests for process, start in zip(processes, before)]
        rows = [line.split("\t") for line in open(log.name)]
    check(report, requests)
    latencies = sorted(int(row[2]) for row in rows)
    starts = sorted(int(row[0]) for row in rows)
    reached = (len(starts) - 1) / max((starts[-1] - starts[0]) / 1e6, 1e-9)
    if reached < RATE_SHARE * options.rate:
        fail(4, f"{reached:.0f} requests/s were reached of {options.rate:.0f}: give a lower --rate or more --clients")
    return {"cpu_us": spent, "p50_us": percentile(latencies, 0.5), "p99_us": percentile(latencies, 0.99), "rate": reached}


def system_calls(processes, load, options):
    """System calls per request of each process, by nested perf stat around one h2load; None where perf may not count."""
    requests = int(options.rate)
    command = load.command(processes[-1].address, requests, options.clients, options.rate)
    with tempfile.TemporaryDirectory() as directory:
        for number, process in enumerate(processes):
            out = f"{directory}/{number}"
            event = ["-e", "raw_syscalls:sys_enter", "-p", str(process.child.pid)]
            command = ["perf", "stat", "-x", ",", "-o", out, *event, "--", *command]
        if shutil.which("perf") is None or subprocess.run(command, capture_output=True).returncode:
            return None
        counts = []
        for number, _ in enumerate(processes):
            line = next(line for line in open(f"{directory}/{number}") if "raw_syscalls" in line)
            if not line.split(",")[0].isdigit():
                return None
            counts.append(int(line.split(",")[0]) / requests)
    return counts


def spread(values, form="{:.1f}"):
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
    return f"{form.format(statistics.median(values))} [{form.format(low)} {form.format(high)}]"


def table(head, rows):
    widths = [max(len(str(row[column])) for row in [head, *rows]) for column in range(len(head))]
    for row in [head, *rows]:
        cells = [str(cell).ljust(width) if column == 0 else str(cell).rjust(width) for column, (cell, width) in enumerate(zip(row, widths))]
        print("  ".join(cells).rstrip())


# -- the hop

HOP = {
    "gRPC": lambda: [Process("server-grpc", "--serve", "grpc", cpu=0)],
    "JSON": lambda: [Process("server-grpc", "--serve", "json", cpu=0)],
    "gateway": lambda: with_gateway(Process("server-grpc", "--serve", "grpc", cpu=0)),
}
HOP_LOAD = {
    ("gRPC", "add"): Load("/demo.NoteService/Add", framed(PROTOBUF_ADD), grpc=True),
    ("gRPC", "list"): Load("/demo.NoteService/List", framed(PROTOBUF_LIST), grpc=True),
    ("JSON", "add"): Load("/demo/notes", JSON_ADD),
    ("JSON", "list"): Load(LIST_PATH),
    ("gateway", "add"): Load("/demo/notes", JSON_ADD),
    ("gateway", "list"): Load(LIST_PATH),
}


def with_gateway(behind):
    return [behind, Process("server-grpc", "--serve", "gateway", "--upstream", behind.address, cpu=0)]


def hop_trial(name, operation, options, count_calls):
    processes = HOP[name]()
    try:
        load = HOP_LOAD[name, operation]
        result = {} if count_calls else measure(processes, load, options)
        if count_calls:
            result["calls"] = system_calls(processes, load, options)
        counters = [process.stop()[0] for process in processes]
        result["bytes"] = [(counted["bytes_in"] + counted["bytes_out"]) / counted["requests"] for counted in counters]
        return result
    finally:
        for process in processes:
            process.kill()


def hop(options):
    results = {}
    for turn in range(options.rounds + 1):
        cases = [(name, operation) for name in HOP for operation in ["add", "list"]]
        for name, operation in random.sample(cases, len(cases)):
            result = hop_trial(name, operation, options, count_calls=turn == options.rounds)
            results.setdefault((operation, name), []).append(result)
            note(f"round {turn + 1} of {options.rounds + 1}: {name} {operation}")
    if options.json:
        print(json.dumps({f"{operation} {name}": trials for (operation, name), trials in results.items()}))
        return
    head = ["", "CPU us/request", "to gRPC", "of it gateway", "system calls", "bytes", "p50 us", "p99 us", "rate"]
    rows = []
    for operation in ["add", "list"]:
        reference = [sum(trial["cpu_us"]) for trial in results[operation, "gRPC"][:-1]]
        for name in HOP:
            *timed, counted = results[operation, name]
            totals = [sum(trial["cpu_us"]) for trial in timed]
            ratios = [total / other for total, other in zip(totals, reference)]
            own = spread([trial["cpu_us"][-1] for trial in timed]) if name == "gateway" else ""
            calls = "not counted" if counted["calls"] is None else " + ".join(f"{count:.2f}" for count in counted["calls"])
            size = " + ".join(f"{count:.0f}" for count in timed[0]["bytes"])
            latencies = [f"{statistics.median(trial[key] for trial in timed):.0f}" for key in ["p50_us", "p99_us", "rate"]]
            rows.append([f"{operation} {name}", spread(totals), spread(ratios, "{:.2f}"), own, calls, size, *latencies])
    table(head, rows)
    print(f"{options.rounds} rounds of {options.rate:.0f} requests/s for {options.seconds} s on {options.clients} connections; a + b: server behind + gateway")


# -- tracing

SHARES = ["0.001", "0.01", "0.1", "1"]
TRACING = {"off": [], "off again": [], "timers": ["--tracing", "timers"]}
TRACING |= {f"spans {float(share):.1%}": ["--tracing", "spans", "--sample", share] for share in SHARES}


def tracing_trial(args, export, options):
    receiver = Process("otlp-receiver", cpu=LAST_CPU) if export else None
    started = [receiver] if receiver else []
    try:
        where = ["--export", f"otlp:http://{receiver.address}/v1/traces"] if receiver else []
        server = Process("server-grpc", "--serve", "json", *args, *where, cpu=0)
        started.append(server)
        result = measure([server], HOP_LOAD["JSON", "add"], options)
        _, said = server.stop()
        totals = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
        result["recorded"] = sum(line.get("spans", 0) for line in totals)
        result["received"] = receiver.stop()[0]["spans"] if receiver else None
        return result
    finally:
        for process in started:
            process.kill()


def tracing(options):
    cases = [(name, False) for name in TRACING] + [(name, True) for name in TRACING if name.startswith("spans")]
    results = {case: [] for case in cases}
    for turn in range(options.rounds):
        for name, export in random.sample(cases, len(cases)):
            results[name, export].append(tracing_trial(TRACING[name], export, options))
            note(f"round {turn + 1} of {options.rounds}: {name}{' exported' if export else ''}")
    if options.json:
        print(json.dumps({f"{name}{', exported' if export else ''}": trials for (name, export), trials in results.items()}))
        return
    off = [trial["cpu_us"][0] for trial in results["off", False]]
    head = ["", "CPU us/request", "to off", "more than off, ns", "spans", "lost", "p50 us", "p99 us", "rate"]
    rows = []
    for (name, export), trials in results.items():
        spent = [trial["cpu_us"][0] for trial in trials]
        more = spread([(one - other) * 1000 for one, other in zip(spent, off)], "{:.0f}")
        ratios = spread([one / other for one, other in zip(spent, off)], "{:.2f}")
        recorded = sum(trial["recorded"] for trial in trials)
        lost = f"{1 - sum(trial['received'] for trial in trials) / recorded:.1%}" if export and recorded else ""
        latencies = [f"{statistics.median(trial[key] for trial in trials):.0f}" for key in ["p50_us", "p99_us", "rate"]]
        rows.append([name + (", exported" if export else ""), spread(spent), ratios, more, recorded or "", lost, *latencies])
    table(head, rows)
    print(f"{options.rounds} rounds of {options.rate:.0f} requests/s for {options.seconds} s on {options.clients} connections; a request is four spans")


def note(says):
    if sys.stderr.isatty():
        print(f"\r\033[K{says}", end="", file=sys.stderr, flush=True)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("what", choices=["hop", "tracing"])
parser.add_argument("--rounds", type=int, default=7)
parser.add_argument("--rate", type=float, default=3000.0, help="requests/s over all connections")
parser.add_argument("--seconds", type=float, default=3.0)
parser.add_argument("--clients", type=int, default=8, help="connections, one request in flight each")
parser.add_argument("--seed", type=int, default=1, help="of the order")
parser.add_argument("--json", action="store_true", help="every trial, without a table")
options = parser.parse_args()
if options.rounds < 1 or options.clients < 1 or not 1 <= options.rate <= 1e6 or not 0.1 <= options.seconds <= 600:
    fail(2, "at least one round and one client, a rate of 1 to 1,000,000, 0.1 to 600 seconds")
if shutil.which("h2load") is None:
    fail(3, "h2load is missing: apt-get install nghttp2-client")
os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
BIN = os.environ.get("BIN")
if BIN is None:
    subprocess.run(["cargo", "build", "--quiet", "--locked", "--profile", "measured", "--package", "server-grpc", "--bins"], check=True)
    BIN = os.environ.get("CARGO_TARGET_DIR", "target") + "/measured"
LAST_CPU = max(os.sched_getaffinity(0))
random.seed(options.seed)
try:
    {"hop": hop, "tracing": tracing}[options.what](options)
except KeyboardInterrupt:
    sys.exit(130)
except subprocess.CalledProcessError as error:
    fail(3, f"{error.cmd[0]} failed: {error.stderr or error}")
