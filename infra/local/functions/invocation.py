"""One invocation of a function and what comes of it."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
import uuid
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Answer:
    """What a function (or the runner in its place) answered.

    Attributes
    ----------
    payload
        JSON: the handler's return value, or Lambda's error object.
    failed
        Whether the payload is an error object.
    """

    payload: bytes
    failed: bool = False


def failure(error_type: str, message: str) -> Answer:
    """Lambda's own error answer, in the words Lambda uses."""
    return Answer(json.dumps({"errorType": error_type, "errorMessage": message}).encode(), failed=True)


@dataclass(eq=False)
class Invocation:
    """An event on its way through an instance."""

    payload: bytes
    answer: asyncio.Future[Answer]
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    deadline: float = 0.0
    started: float = 0.0

    @property
    def trace_id(self) -> str:
        """An X-Ray header that says: not sampled."""
        return f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)};Sampled=0"

    def finish(self, answer: Answer) -> None:
        """Answer once; whatever comes later is dropped."""
        if not self.answer.done():
            self.answer.set_result(answer)

    def fail(self, error_type: str, message: str) -> None:
        """Answer with an error of the runtime, the way Lambda words it."""
        self.finish(failure(error_type, f"RequestId: {self.request_id} Error: {message}"))
