"""A third-party client, Python's `websockets`, against a server with the format json: `python3 - HOST:PORT ADMIN:PORT`."""

import json
import struct
import sys
import urllib.request

from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

uri = f"ws://{sys.argv[1]}/"


def ask(ws, identity, operation, body):
    """Sends a text request and returns status and body of its reply."""
    ws.send(f"{identity} {operation}\n{body}")
    head, reply = ws.recv(timeout=20).split("\n", 1)
    got, status = head.split(" ")
    assert int(got) == identity, head
    return int(status), reply


with connect(uri, max_size=None) as ws:
    status, note = ask(ws, 1, "add", json.dumps({"text": "from Python, Đà Nẵng"}))
    note = json.loads(note)
    assert (status, note["id"], note["text"]) == (200, "1001", "from Python, Đà Nẵng"), note
    status, page = ask(ws, 2, "list", json.dumps({"offset": 999, "limit": 2}))
    page = json.loads(page)
    assert (status, page["total"], page["notes"][1]) == (200, "1001", note), page
    assert ask(ws, 3, "sing", "")[0] == 404
    # Lengths of every encoding, as text and as bytes.
    for identity, length in enumerate((0, 1, 100, 125, 126, 65_535, 65_536, 1 << 20), start=10):
        assert ask(ws, identity, "echo", "x" * length) == (200, "x" * length)
        body = bytes(index % 251 for index in range(length))
        ws.send(struct.pack("<IIBBBB", length, identity, 1, 0, 0x48, 1) + body)
        reply = ws.recv(timeout=20)
        assert reply == struct.pack("<IIBBBB", length, identity, 1, 0, 0x48, 1) + body, length
    # A message in fragments, with a ping from between them answered.
    ws.send(["4 ", "echo", "\nin ", "pieces"])
    assert ws.recv(timeout=20) == "4 200\nin pieces"
    assert ws.ping("are you there?").wait(timeout=20)
    # Several requests under way.
    for identity in range(100):
        ws.send(f"{identity} echo\n{identity}")
    for identity in range(100):
        assert ws.recv(timeout=20) == f"{identity} 200\n{identity}"
# Leaving the block closes: the server answers with the same code.
assert (ws.close_code, ws.close_reason) == (1000, ""), ws.close_code

# 50 at a time.
clients = [connect(uri) for _ in range(50)]
for ws in clients:
    ws.send("7 echo\nhello")
for ws in clients:
    assert ws.recv(timeout=20) == "7 200\nhello"
    ws.close()

# Events, which nobody here asked for, between replies.
clients = [connect(uri) for _ in range(20)]
for ws in clients:
    assert ask(ws, 1, "echo", "here") == (200, "here")
for number, serialise in ((1, "once"), (2, "each")):
    query = f"number={number}&bytes=300&serialise={serialise}"
    urllib.request.urlopen(f"http://{sys.argv[2]}/push?{query}", data=b"", timeout=20).read()
    for ws in clients:
        head, event = ws.recv(timeout=20).split("\n", 1)
        assert head == f"{number} event", head
        event = json.loads(event)
        assert (event["id"], len(event["text"])) == (str(number), 300), event
for ws in clients:
    assert ask(ws, 2, "echo", "still") == (200, "still")
    ws.close()

# What the server ends a connection for, as this client understands it.
with connect(uri) as ws:
    ws.send("1 echo\n" + "x" * 1_100_000)
    try:
        ws.recv(timeout=20)
        sys.exit("no end after a message that is too large")
    except ConnectionClosedError as error:
        assert error.rcvd is not None and error.rcvd.code == 1009, error
