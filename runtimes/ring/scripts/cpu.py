#!/usr/bin/env python3
"""CPU per request of several servers, each in a fresh process, interleaved in a shuffled order.

    nice -n -15 python3 runtimes/ring/scripts/cpu.py ROUNDS CONNECTIONS IN_FLIGHT SECONDS NAME='BINARY ARGS' ...

CONNECTIONS may be PAIRSxCONNECTIONS, for example 6x16700: so many pairs of a server and a generator process, as a limit of
descriptors asks for; that runs in a network namespace of its own (needs root), where ports suffice and no TIME_WAIT of one
trial is in the next one's way. Closed loop, echoes of 64 bytes in raw frames; servers on CPU 0, generators on CPU 1; binaries from BIN
(default target/measured). CPU time is that between the generator's window events, hence the priority: on a busy box the samples
would otherwise be late. On loopback a sender does its peer's receive work, so `both`, server and generator together, is
what the box pays. Prints medians, and of each round's ratio to the first server the median with its quartiles.

With SYSCALLS=1 in the environment it counts each server's system calls by perf over the middle half of its window instead, which costs
CPU and therefore is a run of its own, and prints them per request of that server's rate over the window: median, smallest, largest.
"""
import json, os, random, signal, statistics, subprocess, sys, time
from concurrent.futures import ThreadPoolExecutor

BIN = os.environ.get("BIN", "target/measured")
if len(sys.argv) < 6 or not all("=" in argument for argument in sys.argv[5:]):
    print(__doc__, file=sys.stderr)
    sys.exit(2)
count_syscalls = "SYSCALLS" in os.environ
rounds, in_flight, seconds = int(sys.argv[1]), sys.argv[3], sys.argv[4]
pairs, connections = map(int, ("1x" + sys.argv[2]).split("x")[-2:])
servers = [argument.split("=", 1) for argument in sys.argv[5:]]

if pairs > 1 and "HIGHLOAD_OWN_NAMESPACE" not in os.environ:
    os.environ["HIGHLOAD_OWN_NAMESPACE"] = "1"
    os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])
if pairs > 1:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for name, value in {"ip_local_port_range": "1024 65535", "tcp_max_tw_buckets": "0"}.items():
        open(f"/proc/sys/net/ipv4/{name}", "w").write(value)


def cpu_us(pid):
    """CPU time of a process so far, by its clock (clock_getcpuclockid(3); 2 is CPUCLOCK_SCHED, linux/posix-timers.h)."""
    return time.clock_gettime_ns((~pid << 3) | 2) / 1000


def start(command, pair):
    """A server on an address of its own (so that ports suffice) and the generator that loads it, as (server, load)."""
    binary, *args = command.split(" ")
    listen = ["--listen", f"127.0.0.{pair + 1}:0", "--protocol", "frame", "--format", "raw"]
    server = subprocess.Popen(["taskset", "-c", "0", f"{BIN}/{binary}", *listen, *args], stdout=subprocess.PIPE, text=True)
    address = json.loads(server.stdout.readline())["addresses"][0]
    # Several pairs connect one after the other: all of them must be loaded before the first is measured.
    shape = ["-c", str(connections), "--in-flight", in_flight, "--warmup", str(0.3 + 2 * (pairs - 1) / 3), "-d", seconds]
    echo = ["--closed", "--service", "echo", "--payload-bytes", "64", "--events", "--timeout", "60", "--cpus", "1"]
    return server, subprocess.Popen([f"{BIN}/lab", "load", address, *echo, *shape], stdout=subprocess.PIPE, text=True)


def counting(server):
    """`perf stat` over the middle half of a window that has just begun."""
    whole = float(seconds)
    command = ["perf", "stat", "--delay", str(int(whole * 250)), "-x", ",", "-e", "raw_syscalls:sys_enter", "-p", str(server.pid)]
    return subprocess.Popen([*command, "--", "sleep", str(whole * 0.75)], stderr=subprocess.PIPE, text=True)


def watch(pair):
    """CPU microseconds of server and generator in the measured window, the requests completed in it, and the server's system calls."""
    server, load = pair
    spent, perf, calls = {}, None, 0
    for line in load.stdout:
        event = json.loads(line)
        spent[event["event"]] = cpu_us(server.pid), cpu_us(load.pid)
        if count_syscalls and event["event"] == "window-start":
            perf = counting(server)
    load.wait()
    if perf:
        calls = 2 * int(perf.communicate()[1].splitlines()[-1].split(",")[0])
    served, loaded = (end - start for start, end in zip(spent["window-start"], spent["window-end"]))
    return served, loaded, event["completed"], calls


def trial(command):
    """CPU microseconds per request, of the servers and of servers and generators; system calls per request where they are counted."""
    members = [start(command, pair) for pair in range(pairs)]
    with ThreadPoolExecutor(pairs) as pool:
        served, loaded, completed, calls = map(sum, zip(*pool.map(watch, members)))
    for server, _ in members:
        server.send_signal(signal.SIGTERM)
        server.communicate()
    return served / completed, (served + loaded) / completed, calls / completed


results = {name: [] for name, _ in servers}
for _ in range(rounds):
    for name, command in random.sample(servers, len(servers)):
        results[name].append(trial(command))
if count_syscalls:
    for name, _ in servers:
        counts = [calls for _, _, calls in results[name]]
        print(f"{name:20s} {statistics.median(counts):7.4f} system calls a request [{min(counts):.4f} {max(counts):.4f}]")
    sys.exit()
first = results[servers[0][0]]
for name, _ in servers:
    columns = []
    for figure, label in enumerate(["server", "both"]):
        ratios = [one[figure] / other[figure] for one, other in zip(results[name], first)]
        low, middle, high = statistics.quantiles(ratios, n=4) if rounds > 1 else ratios * 3
        median = statistics.median(one[figure] for one in results[name])
        columns.append(f"{label} {median:6.3f} us, {middle:.3f}x [{low:.3f} {high:.3f}]")
    print(f"{name:20s} " + "   ".join(columns), flush=True)
