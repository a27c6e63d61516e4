"""Searches for secrets in everything that a run has written: logs, executions, answers."""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from typing import Any

from tests.support.stack import RunningSystem

# A text that every QR, access token, JID or database URL has in it.
SHAPES = {
    "a QR": "linked_devices#",
    "an access token": "eyJhbGci",
    "a JID": "@s.whatsapp.net",
    "a database URL": "postgresql://",
}
# A shorter text may be in a log by chance.
_SHORTEST = 8


class Secrets:
    """The texts that must not be written: `SHAPES`, and the secrets that a test adds."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        # The secrets by their first characters, for speed: an engine makes 800 keys for each device.
        self._by_start: defaultdict[str, set[str]] = defaultdict(set)
        for name, text in SHAPES.items():
            self.add(name, text)

    def add(self, name: str, text: str) -> None:
        """Add a secret, and a name for it that may be shown."""
        assert len(text) >= _SHORTEST, f"{name} is too short to be looked for"
        self.names[text] = name
        self._by_start[text[:_SHORTEST]].add(text)

    def add_qr(self, text: str) -> None:
        """Add the text of a QR and each of its parts: the reference, the keys and the adv secret."""
        self.add("QR", text)
        reference, *keys = text.partition("#")[2].split(",")
        self.add("reference of a QR", reference)
        for number, key in enumerate(key for key in keys if len(key) >= _SHORTEST):
            self.add_bytes(f"key {number} of a QR", base64.b64decode(key))

    def add_jwt(self, token: str) -> None:
        """Add each part of an access token."""
        for number, part in enumerate(token.split(".")):
            self.add(f"part {number} of an access token", part)

    def add_bytes(self, name: str, value: bytes) -> None:
        """Add a key in each form in which JSON, Go, Python or Postgres would write it."""
        self.add(f"{name} in base64", base64.b64encode(value).decode().rstrip("="))
        self.add(f"{name} in URLs", base64.urlsafe_b64encode(value).decode().rstrip("="))
        self.add(f"{name} in hex", value.hex())
        self.add(f"{name} in capitals", value.hex().upper())
        self.add(f"{name} in Python", repr(value)[2:-1])
        self.add(f"{name} in Python in JSON", json.dumps(repr(value)[2:-1])[1:-1])

    def found_in(self, text: str) -> set[str]:
        """Return the names of the secrets in a text."""
        found = set()
        for start in range(len(text) - _SHORTEST + 1):
            for secret in self._by_start.get(text[start : start + _SHORTEST], ()):
                if text.startswith(secret, start):
                    found.add(self.names[secret])
        return found

    def told(self, written: dict[str, str]) -> list[str]:
        """Return which secret was found where, by names that may be shown."""
        return [f"{name} in {place}" for place, text in written.items() for name in sorted(self.found_in(text))]


def logs(stack: RunningSystem) -> dict[str, str]:
    """The logs of a run, by function."""
    return {path.stem: path.read_text(errors="replace") for path in (stack.data_dir / "logs").glob("*.log")}


def executions(stack: RunningSystem) -> dict[str, str]:
    """The description and every event of each execution, without the task tokens that AWS itself records."""
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
    """Remove the task token from a TaskScheduled event.

    A callback task gets its token as a parameter, so AWS records it in this event. A reader of the event cannot use the
    token without the right to SendTask*, which only our functions have.
    """
    scheduled = event.get("taskScheduledEventDetails")
    if not scheduled or scheduled["resource"] != "invoke.waitForTaskToken":
        return event
    parameters = json.loads(scheduled["parameters"])
    del parameters["Payload"]["taskToken"]
    return event | {"taskScheduledEventDetails": scheduled | {"parameters": json.dumps(parameters)}}
