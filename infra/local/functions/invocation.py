"""One invocation of a function, and its answer."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
import uuid
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Answer:
    """The answer of a function, or of the runner in its place.

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
    """Return Lambda's own error answer, in Lambda's words."""
    return Answer(json.dumps({"errorType": error_type, "errorMessage": message}).encode(), failed=True)


@dataclass(eq=False)
class Invocation:
    """An event that an instance handles, and the answer that its caller waits for."""

    payload: bytes
    answer: asyncio.Future[Answer]
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    deadline: float = 0.0
    started: float = 0.0

    @property
    def trace_id(self) -> str:
        """The X-Ray header of an invocation that is not traced."""
        return f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)};Sampled=0"

    def finish(self, answer: Answer) -> None:
        """Answer once. Later answers are dropped."""
        if not self.answer.done():
            self.answer.set_result(answer)

    def fail(self, error_type: str, message: str) -> None:
        """Answer with an error of the runtime, in Lambda's words."""
        self.finish(failure(error_type, f"RequestId: {self.request_id} Error: {message}"))
