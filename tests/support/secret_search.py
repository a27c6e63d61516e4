"""What a run has written where people or machines read it, and the one search for secrets in it."""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from typing import Any

from tests.support.stack import Stack

# How any QR, access token, JID and database URL looks, whoever's it is.
SHAPES = {
    "a QR": "linked_devices#",
    "an access token": "eyJhbGci",
    "a JID": "@s.whatsapp.net",
    "a database URL": "postgresql://",
}
# Shorter texts are in any log by chance.
_SHORTEST = 8


class Secrets:
    """What nothing that is written may hold: what always looks the same, and what is added while it can be seen."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        # By their first characters: an engine makes 800 keys for each device.
        self._by_start: defaultdict[str, set[str]] = defaultdict(set)
        for name, text in SHAPES.items():
            self.add(name, text)

    def add(self, name: str, text: str) -> None:
        """A secret, and a name for it that may be shown."""
        assert len(text) >= _SHORTEST, f"{name} is too short to be looked for"
        self.names[text] = name
        self._by_start[text[:_SHORTEST]].add(text)

    def add_qr(self, text: str) -> None:
        """A QR's text and each of its parts: reference, keys, adv secret, whose bytes may be spelled otherwise."""
        self.add("QR", text)
        reference, *keys = text.partition("#")[2].split(",")
        self.add("reference of a QR", reference)
        for number, key in enumerate(key for key in keys if len(key) >= _SHORTEST):
            self.add_bytes(f"key {number} of a QR", base64.b64decode(key))

    def add_jwt(self, token: str) -> None:
        """An access token, by its parts."""
        for number, part in enumerate(token.split(".")):
            self.add(f"part {number} of an access token", part)

    def add_bytes(self, name: str, value: bytes) -> None:
        """A key, as JSON, Go, Python and Postgres would write it."""
        self.add(f"{name} in base64", base64.b64encode(value).decode().rstrip("="))
        self.add(f"{name} in URLs", base64.urlsafe_b64encode(value).decode().rstrip("="))
        self.add(f"{name} in hex", value.hex())
        self.add(f"{name} in capitals", value.hex().upper())
        self.add(f"{name} in Python", repr(value)[2:-1])
        self.add(f"{name} in Python in JSON", json.dumps(repr(value)[2:-1])[1:-1])

    def found_in(self, text: str) -> set[str]:
        """Return the names of what stands in a text."""
        found = set()
        for start in range(len(text) - _SHORTEST + 1):
            for secret in self._by_start.get(text[start : start + _SHORTEST], ()):
                if text.startswith(secret, start):
                    found.add(self.names[secret])
        return found

    def told(self, written: dict[str, str]) -> list[str]:
        """Return what was found where, fit to be shown."""
        return [f"{name} in {place}" for place, text in written.items() for name in sorted(self.found_in(text))]


def logs(stack: Stack) -> dict[str, str]:
    """All logs of a run, by function."""
    return {path.stem: path.read_text(errors="replace") for path in (stack.data_dir / "logs").glob("*.log")}


def executions(stack: Stack) -> dict[str, str]:
    """Each execution by its name: description and every event, without the one thing that AWS itself puts there."""
    states = stack.aws("stepfunctions")
    (machine,) = states.list_state_machines()["stateMachines"]
    written = {}
    for page in states.get_paginator("list_executions").paginate(stateMachineArn=machine["stateMachineArn"]):
        for one in page["executions"]:
            execution = {"executionArn": one["executionArn"]}
            pages = states.get_paginator("get_execution_history").paginate(**execution)
            events = [_without_token(event) for page in pages for event in page["events"]]
            described = states.describe_execution(**execution)
            written[f"execution {one['name']}"] = json.dumps([described, events], default=str)
    return written


def _without_token(event: dict[str, Any]) -> dict[str, Any]:
    """A callback task gets its token by its parameters, and TaskScheduled records them, here as on AWS.

    Whoever reads it there cannot use it without the right to SendTask*, which our functions alone have.
    """
    scheduled = event.get("taskScheduledEventDetails")
    if not scheduled or scheduled["resource"] != "invoke.waitForTaskToken":
        return event
    parameters = json.loads(scheduled["parameters"])
    del parameters["Payload"]["taskToken"]
    return event | {"taskScheduledEventDetails": scheduled | {"parameters": json.dumps(parameters)}}
