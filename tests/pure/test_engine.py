"""The engine's events, and the lines in which the child process sends them to its parent."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from whatsapp_engine import protocol
from whatsapp_engine.process import engine_dsn
from whatsapp_pairing.core.engine import (
    DatabaseFailed,
    Event,
    Exhausted,
    LoggedOut,
    Online,
    Qr,
    Reached,
    Refused,
    Replaced,
    Scanned,
    Synced,
    Unreachable,
)
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.runtime.tls import SUPABASE_ROOTS

LINES: list[tuple[str, dict[str, Any], Event]] = [
    ("reached", {}, Reached()),
    ("qr", {"text": "https://wa.me/settings/linked_devices#a,b,c,d", "seconds": 60.0},
     Qr("https://wa.me/settings/linked_devices#a,b,c,d", 60.0)),
    ("qr", {"text": "https://wa.me/settings/linked_devices#a,b,c,e", "seconds": 12.5, "renewed": True},
     Qr("https://wa.me/settings/linked_devices#a,b,c,e", 12.5, renewed=True)),
    ("exhausted", {}, Exhausted()),
    ("scanned", {"jid": "1:2@s.whatsapp.net"}, Scanned("1:2@s.whatsapp.net")),
    ("online", {"jid": "1:2@s.whatsapp.net"}, Online("1:2@s.whatsapp.net")),
    ("synced", {}, Synced()),
    ("logged_out", {}, LoggedOut()),
    ("replaced", {}, Replaced()),
    ("unreachable", {}, Unreachable()),
    ("store_failed", {"why": "SQLSTATE 28P01", "passes": False}, DatabaseFailed("SQLSTATE 28P01")),
    ("store_failed", {"why": "SQLSTATE 53300", "passes": True}, DatabaseFailed("SQLSTATE 53300", passes=True)),
    *(("refused", {"reason": reason}, Refused(reason)) for reason in Reason),
]  # fmt: skip


# ── fingerprint ──


@given(st.binary(min_size=1, max_size=64), st.lists(st.from_regex(r"[A-Za-z0-9+/=@]*", fullmatch=True), max_size=3))
def test_the_fingerprint_is_of_the_adv_secret(secret: bytes, more: list[str]) -> None:
    text = ",".join(
        ["https://wa.me/settings/linked_devices#2@ref", "noise", "id", base64.b64encode(secret).decode(), *more]
    )
    assert Qr(text, 20).fingerprint == hashlib.sha256(secret).digest()


@given(st.text())
@example("https://wa.me/settings/linked_devices#")
@example("https://wa.me/settings/linked_devices#a,b,c")
@example("https://wa.me/settings/linked_devices#a,b,c,")
@example("https://wa.me/settings/linked_devices#a,b,c,é")
@example("https://wa.me/settings/linked_devices#a,b,c,!!!!")
@example("a,b,c,YWR2")
def test_any_other_text_has_no_fingerprint(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not a WhatsApp linking QR$"):
        _ = Qr(text, 20).fingerprint


def test_a_qr_is_not_shown_in_a_repr() -> None:
    assert "wa.me" not in repr(Qr("https://wa.me/settings/linked_devices#a,b,c,d", 20))


# ── protocol ──


@pytest.mark.parametrize(("name", "fields", "event"), LINES, ids=str)
def test_a_line_comes_back_as_its_event(name: str, fields: dict[str, Any], event: Event) -> None:
    line = protocol.encode(name, **fields)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert protocol.decode(line) == event


@pytest.mark.parametrize("name", [protocol.BEAT, protocol.DONE])
def test_a_beat_line_and_a_done_line_are_no_events(name: str) -> None:
    assert protocol.decode(protocol.encode(name)) == name


@given(st.text())
def test_any_text_stays_on_one_line(text: str) -> None:
    line = protocol.encode("qr", text=text, seconds=20.0)
    assert line.count(b"\n") == 1
    assert protocol.decode(line) == Qr(text, 20.0)


def test_a_line_fits_the_pipe_whole() -> None:
    """Several threads write lines to one pipe. The kernel does not mix lines of up to 4096 bytes."""
    assert len(protocol.encode("qr", text="https://wa.me/settings/linked_devices#" + "x" * 600, seconds=60.0)) < 4096


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
named = st.fixed_dictionaries(
    {"event": st.sampled_from(["qr", "scanned", "online", "refused", "nonsense"]) | values},
    optional={"text": values, "seconds": values, "jid": values, "number": values, "reason": values},
)


@given(st.binary() | (values | named).map(lambda value: json.dumps(value).encode()))
@example(b"")
@example(b"[]")
@example(b'{"event": "qr"}')
@example(b'{"event": "refused"}')
@example(b'{"event": "refused", "reason": "because"}')
@example(b'{"event": []}')
def test_a_line_that_is_not_ours_is_a_value_error(line: bytes) -> None:
    try:
        event = protocol.decode(line)
    except ValueError:
        return
    assert event


# ── the engine's URL ──


ROOTS = f"sslrootcert={quote(SUPABASE_ROOTS, safe='')}"


@pytest.mark.parametrize(
    ("url", "dsn"),
    [
        ("postgresql://me:p@localhost:5432/db",
         "postgresql://me:p@localhost:5432/db?sslmode=prefer&options=--search_path%3Dwhatsapp_engine"),
        ("postgresql://me:p%40@db.example.com/db",
         f"postgresql://me:p%40@db.example.com/db?sslmode=verify-full&{ROOTS}&options=--search_path%3Dwhatsapp_engine"),
        ("postgresql://me@db.example.com/db?sslmode=require&search_path=public",
         "postgresql://me@db.example.com/db?sslmode=require&options=--search_path%3Dwhatsapp_engine"),
        ("postgresql:///db?host=/run/pg", "postgresql:///db?host=%2Frun%2Fpg&sslmode=disable&options=--search_path%3Dwhatsapp_engine"),
        ("postgresql://me@localhost/db?options=-crole%3Dwhatsapp_engine",
         "postgresql://me@localhost/db?options=-crole%3Dwhatsapp_engine%20--search_path%3Dwhatsapp_engine&sslmode=prefer"),
    ],
)  # fmt: skip
def test_the_engines_url(url: str, dsn: str) -> None:
    assert engine_dsn(url) == dsn


@pytest.mark.parametrize("word", ["channel_binding=prefer", "gssencmode=disable", "keepalives_idle=15"])
def test_gos_driver_gets_no_option_that_only_libpq_knows(word: str) -> None:
    """Go's driver would send the option as a setting, and the server would refuse it (seen with the real engine)."""
    assert word not in engine_dsn(f"postgresql://me@db.example.com/db?sslmode=require&{word}")
