"""The errors with which Lambda refuses an invocation.

::

    InvocationError           an invocation that Lambda refuses before any function sees it
    ├── FunctionNotFound      404 ResourceNotFoundException
    ├── TooManyRequests       429 TooManyRequestsException
    ├── PayloadTooLarge       413 RequestEntityTooLargeException
    └── Withheld              503 ServiceException
"""

from __future__ import annotations

from typing import ClassVar


class InvocationError(Exception):
    """Lambda's answer to an invocation that it does not accept."""

    code: ClassVar[str]
    status: ClassVar[int]


class FunctionNotFound(InvocationError):
    """No function of that name is in the template."""

    code = "ResourceNotFoundException"
    status = 404


class TooManyRequests(InvocationError):
    """The function's reserved concurrency, or this machine, is used up."""

    code = "TooManyRequestsException"
    status = 429


class PayloadTooLarge(InvocationError):
    """The event is larger than Lambda takes."""

    code = "RequestEntityTooLargeException"
    status = 413


class Withheld(InvocationError):
    """The function deletes data, and this run must not delete data in its database."""

    code = "ServiceException"
    status = 503
    message = (
        "This database is not the local system's own, so the local system deletes nothing in it. "
        "Start it with --may-delete to allow that."
    )
    body: ClassVar = {"success": False, "error": "may_not_delete", "message": message}
    """The answer has the API's own form, so that the page shows the message."""

    def __init__(self) -> None:
        super().__init__(self.message)
