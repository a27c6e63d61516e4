"""Cases of a server's certificate, each with the cause that both drivers must name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from whatsapp_pairing.runtime import tls_faults as causes

from tests.support.certificates import Issued, authority, issue
from tests.support.tls_proxy import Answer, hangs, hangs_up, has_no_room, is_a_website, is_ssh, is_too_old

HERE = ("localhost", "127.0.0.1")
THERE = ("db.example.com", "*.example.com")


@dataclass(frozen=True)
class Case:
    """A server's certificates, the leaf first; the client's roots and host; the cause that is told, if TLS fails."""

    chain: Callable[[], list[Issued]]
    cause: str | None = None
    host: str = "localhost"
    root: Callable[[], str] = lambda: authority().pem
    libpq_connects: bool = False


def _signed(*names: str, by: Callable[[], Issued] = authority, valid: tuple[int, int] = (-2, 90)) -> list[Issued]:
    return [issue(by(), "whatever", names, valid=valid)]


def _with_intermediate(sent: bool) -> list[Issued]:
    between = issue(authority(), "Between", authority=True)
    return [issue(between, "whatever", HERE), *([between] if sent else [])]


def _stranger() -> Issued:
    return authority("Another Root")


CASES = {
    "right": Case(lambda: _signed(*HERE)),
    "right, by address": Case(lambda: _signed(*HERE), host="127.0.0.1"),
    "an authority between": Case(lambda: _with_intermediate(True)),
    "two roots of one name": Case(
        lambda: _signed(*HERE), root=lambda: issue(None, "Test Root", authority=True).pem + authority().pem
    ),
    "wrong CA": Case(lambda: _signed(*HERE, by=_stranger), causes.INCOMPLETE),
    "wrong CA, with its root": Case(lambda: [*_signed(*HERE, by=_stranger), _stranger()], causes.UNKNOWN),
    "signed by itself": Case(lambda: [issue(None, "localhost", HERE)], causes.SELF_SIGNED),
    "authority between not sent": Case(lambda: _with_intermediate(False), causes.INCOMPLETE),
    "wrong name": Case(lambda: _signed(*THERE), causes.WRONG_NAME),
    "address not listed": Case(lambda: _signed(*THERE, "localhost"), causes.NO_ADDRESS, host="127.0.0.1"),
    "another address listed": Case(lambda: _signed("10.0.0.1"), causes.NO_ADDRESS, host="127.0.0.1"),
    "expired": Case(lambda: _signed(*HERE, valid=(-9, -1)), causes.EXPIRED),
    "not yet valid": Case(lambda: _signed(*HERE, valid=(1, 9)), causes.NOT_YET),
    "name in CN only": Case(
        lambda: [issue(authority(), "localhost")], causes.ONLY_COMMON_NAME, libpq_connects=True
    ),
}  # fmt: skip

STRANGE_SERVERS: dict[str, tuple[Answer, str]] = {
    "website": (is_a_website, causes.NOT_POSTGRES),
    "ssh": (is_ssh, causes.NOT_POSTGRES),
    "too old": (is_too_old, causes.OLD),
    "hangs up": (hangs_up, causes.CUT),
    "no room": (has_no_room, causes.NOT_NOW),
    "hangs": (hangs, causes.SILENT),
}
