"""Postgres refuses a running engine. The attempt ends as our fault, and WhatsApp is not blamed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import psycopg
import pytest
from whatsapp_engine.process import ProcessEngine
from whatsapp_pairing.core.engine import DatabaseFailed, Event, LoggedOut, Online, Qr, Reached, Scanned, Synced
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.pairing.linker import link

from tests.support.databases import admin, transaction_pooler, way, world
from tests.support.logins import login
from tests.support.recorded_workflow import RecordedWorkflow
from tests.support.repositories import World
from tests.support.sandbox_client import SandboxClient, SandboxRefusedError

pytestmark = pytest.mark.usefixtures("led")

__all__ = ["admin", "transaction_pooler", "way", "world"]

KEYS, VERSION = "whatsapp_engine.whatsmeow_device", "whatsapp_engine.whatsmeow_version"
EVENT_SECONDS = 60.0
# A time far ahead: the engines of these tests need no lease.
LONG = time.monotonic() + 24 * 3600


@pytest.fixture
def owner(migrated_url: str) -> Iterator[Callable[[str], object]]:
    """Run a statement as the owner of the database."""
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        yield lambda statement: connection.execute(statement.encode())


@pytest.fixture
def engine(migrated_url: str) -> ProcessEngine:
    """The real engine, with its own database login."""
    return ProcessEngine(lambda: login(migrated_url, "whatsapp_engine"))


def last_event(run: object, sandbox: SandboxClient | None = None, number: str = "") -> Event | None:
    """Read an engine's events until the last one. Scan its first QR, if there is a phone."""
    while True:
        event = run.next_event(EVENT_SECONDS)  # type: ignore[attr-defined]
        if isinstance(event, Qr) and sandbox:
            try:
                sandbox.scan(event.text, number)
            except SandboxRefusedError:
                sandbox = None
        elif not isinstance(event, Reached | Scanned):
            return event


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (f"revoke all on {VERSION} from whatsapp_engine", "SQLSTATE 42501 (the role lacks a right): schema whatsapp_"),
        (
            "revoke all on schema whatsapp_engine from whatsapp_engine",
            "SQLSTATE 42P01 (a table is missing, or its schema is closed to the role)",
        ),
        (
            f"update {VERSION} set version = 1000, compat = 1000",
            "the tables are of version 1000, and this engine knows only",
        ),
        (f"drop table {VERSION}", "SQLSTATE 42501"),
    ],
)
def test_a_refusing_database_is_not_blamed_on_whatsapp(
    engine: ProcessEngine,
    owner: Callable[[str], object],
    causes: list[str],
    statement: str,
    told: str,
) -> None:
    owner(statement)
    with engine.pair(LONG) as run:
        assert isinstance(last_event(run), DatabaseFailed)
    assert told in causes.pop()


def test_keys_that_cannot_be_stored_are_no_refused_scan(
    engine: ProcessEngine,
    owner: Callable[[str], object],
    sandbox: SandboxClient,
    number: str,
    causes: list[str],
) -> None:
    owner(f"revoke insert on {KEYS} from whatsapp_engine")
    with engine.pair(LONG) as run:
        assert isinstance(last_event(run, sandbox, number), DatabaseFailed)
    assert "SQLSTATE 42501 (the role lacks a right): whatsmeow_device, failed to save device store" in causes.pop()


def test_a_device_that_cannot_be_read_is_reported_too(
    engine: ProcessEngine,
    owner: Callable[[str], object],
    sandbox: SandboxClient,
    number: str,
    causes: list[str],
) -> None:
    with engine.pair(LONG) as run:
        while not isinstance(online := last_event(run, sandbox, number), Online):
            assert isinstance(online, Synced)
    owner(f"revoke select on {KEYS} from whatsapp_engine")
    for start in (engine.resume, engine.log_out):
        with start(online.jid, LONG) as run:
            assert isinstance(last_event(run), DatabaseFailed)
        assert "whatsmeow_device, failed to scan session" in causes.pop()
    owner(f"grant select on {KEYS} to whatsapp_engine")
    with engine.log_out(online.jid, LONG) as run:
        while (event := last_event(run)) != LoggedOut():
            assert isinstance(event, Online | Synced)
            run.confirm()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda _: "postgresql://whatsapp_engine:s3cret@127.0.0.1:1/s3cret", "cannot be reached: connection refused"),
        (lambda url: url + "s3cret", "SQLSTATE 3D000"),
        (lambda url: url.replace("whatsapp_engine", "s3cret"), "SQLSTATE 28000"),
        (lambda url: url + "?sslmode=require", "TLS to Postgres fails"),
    ],
    ids=["unreachable", "database", "role", "tls"],
)
def test_a_refused_url_is_reported_without_its_text(
    migrated_url: str, change: Callable[[str], str], told: str, causes: list[str]
) -> None:
    url = change(login(migrated_url, "whatsapp_engine"))
    with ProcessEngine(lambda: url).pair(LONG) as run:
        assert isinstance(last_event(run), DatabaseFailed)
    why = causes.pop()
    assert told in why
    assert "s3cret" not in why


def test_a_database_that_comes_back_is_used(
    engine: ProcessEngine, migrated_url: str, owner: Callable[[str], object]
) -> None:
    name = migrated_url.rpartition("/")[2]
    owner(f"alter role whatsapp_engine in database {name} set lock_timeout = '1s'")
    with psycopg.connect(migrated_url) as other:
        other.execute(f"lock table {VERSION} in access exclusive mode".encode())
        with engine.pair(LONG) as run:
            assert run.next_event(3) is None
            other.rollback()
            assert isinstance(run.next_event(EVENT_SECONDS), Reached | Qr)


def test_the_attempt_ends_as_a_failed_linker(world: World, causes: list[str]) -> None:
    attempt = world.claim()
    refused = ProcessEngine(lambda: login(world.url, "whatsapp_engine") + "nowhere")
    assert link(attempt, world.leases, world.session_rows, RecordedWorkflow(), refused) == Reason.LINKER_FAILED
    assert world.attempt(attempt)["verdict"] == Reason.LINKER_FAILED
    assert "SQLSTATE 3D000" in causes.pop()
