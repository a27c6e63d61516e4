"""Runs the real engine in a process of its own, and prints one JSON object for each event.

usage: engine_driver.py DSN pair | resume NUMBER DEVICE
Standard input takes one command per line: logout, disconnect.
"""

import ctypes
import json
import os
import sys
import threading
import time

# The engine prints to both standard streams. Keep standard output for the events, and send the engine's text to a log.
OUT = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)

import pylibmagic  # noqa: E402, F401
from neonize.client import NewClient  # noqa: E402
from neonize.events import EVENT_TO_INT  # noqa: E402
from neonize.exc import NeonizeError  # noqa: E402
from neonize.proto.Neonize_pb2 import Device  # noqa: E402
from neonize.utils import build_jid  # noqa: E402


def say(event: str, **fields: object) -> None:
    print(json.dumps({"event": event, "at": time.time(), **fields}), file=OUT)


class Client(NewClient):
    def _NewClient__onLoginStatus(self, uuid: int, status: int) -> None:  # noqa: ARG002
        say("LoginStatus", status=ctypes.string_at(status).decode())


def commands(client: Client) -> None:
    for line in sys.stdin:
        try:
            getattr(client, line.strip())()
            say("done", command=line.strip())
        except NeonizeError as error:
            say("failed", command=line.strip(), message=str(error))


def main() -> None:
    dsn, mode, *rest = sys.argv[1:]
    if mode == "pair":
        client = Client(dsn, uuid="pairing", new_device=True)
    else:
        jid = build_jid(rest[0])
        jid.Device = int(rest[1])
        client = Client(dsn, jid=jid)
    client.event.qr(lambda _, text: say("qr", text=text.decode()))
    for kind in EVENT_TO_INT:
        if kind is not Device:
            client.event(kind)(lambda _, message, kind=kind: say(kind.__name__, text=str(message)[:500]))
    threading.Thread(target=commands, args=(client,), daemon=True).start()
    say("connecting")
    try:
        client.connect()
        say("returned")
    except NeonizeError as error:
        say("raised", message=str(error))


main()
