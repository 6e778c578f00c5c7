#!/usr/bin/env python3
"""User memory of a server per idle connection: the slope of its PSS over five plateaus (least squares).

    python3 runtimes/ring/scripts/idle.py BINARY [ARGS ...]

Holds 2,000 to 18,000 connections, of which every tenth has asked once. 3,000 requests before the first plateau touch what
all connections share (receive buffers), which is no cost of a connection.
"""
import json, resource, socket, subprocess, sys, time

PLATEAUS = [2_000, 6_000, 10_000, 14_000, 18_000]
ECHO = bytes([1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0x48, 1]) + b"x"

hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
listen = ["--listen", "127.0.0.1:0", "--protocol", "frame", "--format", "raw"]
server = subprocess.Popen([sys.argv[1], *listen, *sys.argv[2:]], stdout=subprocess.PIPE)
try:
    host, port = json.loads(server.stdout.readline())["addresses"][0].split(":")
    held, points = [], []

    def ask(connection):
        connection.sendall(ECHO)
        assert connection.recv(len(ECHO), socket.MSG_WAITALL) == ECHO

    for plateau in PLATEAUS:
        while len(held) < plateau:
            held.append(socket.create_connection((host, int(port))))
            if len(held) % 10 == 0:
                ask(held[-1])
            if len(held) == 1:
                for _ in range(3_000):
                    ask(held[0])
        time.sleep(0.3)  # what the last connections left to do
        for line in open(f"/proc/{server.pid}/smaps_rollup"):
            if line.startswith("Pss:"):
                points.append((plateau, int(line.split()[1]) * 1024))
    mean_x, mean_y = (sum(values) / len(points) for values in zip(*points))
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
    print(f"{' '.join(sys.argv[1:])}: {slope:.0f} bytes per connection; {points}")
finally:
    server.kill()
    server.wait()
