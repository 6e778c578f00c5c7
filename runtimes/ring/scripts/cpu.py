#!/usr/bin/env python3
"""CPU per request of several servers, each in a fresh process, interleaved in a shuffled order.

    nice -n -15 python3 runtimes/ring/scripts/cpu.py ROUNDS CONNECTIONS IN_FLIGHT SECONDS NAME='BINARY ARGS' ...

Closed loop, echoes of 64 bytes in raw frames; server on CPU 0, generator on CPU 1; binaries from BIN (default
target/measured). CPU time is that between the generator's window events, hence the priority: on a busy box the samples
would otherwise be late. On loopback a sender does its peer's receive work, so `both`, server and generator together, is
what the box pays. Prints medians, and of each round's ratio to the first server the median with its quartiles.
"""
import glob, json, os, random, signal, statistics, subprocess, sys

BIN = os.environ.get("BIN", "target/measured")
rounds, connections, in_flight, seconds = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
servers = [argument.split("=", 1) for argument in sys.argv[5:]]


def cpu_us(pid):
    """CPU time of a process's threads so far (/proc/PID/task/TID/schedstat, first field, ns)."""
    return sum(int(open(path).read().split()[0]) for path in glob.glob(f"/proc/{pid}/task/*/schedstat")) / 1000


def trial(command):
    binary, *args = command.split(" ")
    listen = ["--listen", "127.0.0.1:0", "--protocol", "frame", "--format", "raw"]
    server = subprocess.Popen(["taskset", "-c", "0", f"{BIN}/{binary}", *listen, *args], stdout=subprocess.PIPE, text=True)
    address = json.loads(server.stdout.readline())["addresses"][0]
    shape = ["-c", connections, "--in-flight", in_flight, "--warmup", "0.3", "-d", seconds, "--cpus", "1"]
    echo = ["--closed", "--service", "echo", "--payload-bytes", "64", "--events"]
    load = subprocess.Popen([f"{BIN}/lab", "load", address, *echo, *shape], stdout=subprocess.PIPE, text=True)
    spent = {}
    for line in load.stdout:
        event = json.loads(line)
        spent[event["event"]] = cpu_us(server.pid), cpu_us(load.pid)
    load.wait()
    server.send_signal(signal.SIGTERM)
    server.communicate()
    served, loaded = (end - start for start, end in zip(spent["window-start"], spent["window-end"]))
    return served / event["completed"], (served + loaded) / event["completed"]


results = {name: [] for name, _ in servers}
for _ in range(rounds):
    for name, command in random.sample(servers, len(servers)):
        results[name].append(trial(command))
first = results[servers[0][0]]
for name, _ in servers:
    columns = []
    for figure, label in enumerate(["server", "both"]):
        ratios = [one[figure] / other[figure] for one, other in zip(results[name], first)]
        low, middle, high = statistics.quantiles(ratios, n=4) if rounds > 1 else ratios * 3
        median = statistics.median(one[figure] for one in results[name])
        columns.append(f"{label} {median:6.3f} us, {middle:.3f}x [{low:.3f} {high:.3f}]")
    print(f"{name:20s} " + "   ".join(columns), flush=True)
