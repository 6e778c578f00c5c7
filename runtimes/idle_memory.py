#!/usr/bin/env python3
"""User memory of a server per idle connection, as a slope.

    python3 runtimes/idle_memory.py target/release/server-mio
    python3 runtimes/idle_memory.py target/release/server-monoio --interface epoll --idle lean

Starts the server on a free port of loopback, opens 2,000 to 18,000 connections that say nothing, reads the server's
proportional set size (smaps_rollup: what it alone has touched, and its share of what it maps with others) at five
plateaus, and prints the least-squares slope in bytes per connection. With `--after-echo` each connection exchanges one
message first, so that what is kept after use is seen too. Kernel memory is not in it. Needs 18,100 descriptors.
"""

import json
import resource
import socket
import struct
import subprocess
import sys
import time

PLATEAUS = (2_000, 6_000, 10_000, 14_000, 18_000)
IP_BIND_ADDRESS_NO_PORT = 24
ECHO = struct.pack("<IIBBBB", 64, 1, 1, 0, 0x48, 1) + bytes(64)


def connect(address, number, echo):
    client = socket.socket()
    # One source address per 10,000 connections: ports never run out, whoever else uses them.
    client.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    client.bind((f"127.77.0.{1 + number // 10_000}", 0))
    client.connect(address)
    if echo:
        client.sendall(ECHO)
        received = b""
        while len(received) < len(ECHO):
            received += client.recv(len(ECHO))
        assert received == ECHO, received
    return client


def pss(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
        return next(int(line.split()[1]) * 1024 for line in rollup if line.startswith("Pss:"))


def slope(points):
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)


def main():
    arguments = sys.argv[1:]
    echo = "--after-echo" in arguments
    command = [argument for argument in arguments if argument != "--after-echo"]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    command += ["--listen", "127.0.0.1:0", "--protocol", "frame", "--format", "raw"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        ready = json.loads(server.stdout.readline())
        host, port = ready["addresses"][0].rsplit(":", 1)
        clients, points = [], []
        for plateau in PLATEAUS:
            clients += [connect((host, int(port)), number, echo) for number in range(len(clients), plateau)]
            # The last one is answered, so all of them are accepted; what the loop does behind that settles.
            clients[-1] = connect((host, int(port)), plateau, True)
            previous = 0
            while (now := pss(server.pid)) != previous:
                previous = now
                time.sleep(0.3)
            points.append((plateau, now))
        print(f"{ready['engine']:<20}{slope(points):>8.0f} bytes per idle connection" + (" after an echo" if echo else ""))
        print("    " + "  ".join(f"{x}: {y / 1024:.0f} KiB" for x, y in points), file=sys.stderr)
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()
