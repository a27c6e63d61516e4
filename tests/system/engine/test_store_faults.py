"""Linker and unlink report and count each fault of the engine's database at once, and do not blame WhatsApp."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from whatsapp_engine.process import ProcessEngine
from whatsapp_pairing.core.engine import DatabaseFailed, EngineRun, Event, Qr, Scanned
from whatsapp_pairing.core.errors import EngineDatabaseFailed, MisconfiguredError
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.keeper.unlink import unlink
from whatsapp_pairing.pairing.attempt import Phase
from whatsapp_pairing.pairing.linker import link

from tests.support.adv_secret import Secret
from tests.support.logins import login
from tests.support.metrics import metrics_in, values
from tests.support.postgres import Postgres
from tests.support.recorded_workflow import RecordedWorkflow
from tests.support.repositories import World, entered, open_world
from tests.support.sandbox_client import SandboxClient, SandboxRefusedError
from tests.system.faults.postgres_proxy import PostgresProxy

pytestmark = pytest.mark.usefixtures("led")

ROLE, SCHEMA = "whatsapp_engine", "whatsapp_engine"
KEYS, PREKEYS, IDENTITIES = (f"{SCHEMA}.whatsmeow_{name}" for name in ("device", "pre_keys", "identity_keys"))

Owner = Callable[[str], object]


@pytest.fixture
def world(migrated_url: str) -> Iterator[World]:
    """A database of these tests, because they break it."""
    yield from open_world(migrated_url)


@contextmanager
def no_connection_left(world: World) -> Iterator[None]:
    """Let Postgres refuse the engine's role, and end the connections of the role."""
    limit = world.value("SELECT rolconnlimit FROM pg_roles WHERE rolname = %s", ROLE)
    world.sql(f"ALTER ROLE {ROLE} CONNECTION LIMIT 0")
    try:
        world.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", ROLE)
        yield
    finally:
        world.sql(f"ALTER ROLE {ROLE} CONNECTION LIMIT {limit}")


class Watched(ProcessEngine):
    """The real engine. It counts its runs, and calls a function after each event."""

    def __init__(self, url: str, then: dict[type[Event], Callable[[Event], object]] | None = None) -> None:
        super().__init__(lambda: url)
        self.started = 0
        self._handled: list[Event] = []
        self._then = then or {}

    def pair(self, until: float) -> EngineRun:
        return self._watch(super().pair(until))

    def resume(self, jid: str, until: float) -> EngineRun:
        return self._watch(super().resume(jid, until))

    def _watch(self, run: EngineRun) -> EngineRun:
        self.started += 1
        listen = run.next_event

        def next_event(timeout: float) -> Event | None:
            while self._handled:
                event = self._handled.pop()
                self._then.pop(type(event), lambda _: None)(event)
            if event := listen(timeout):
                self._handled.append(event)
            return event

        run.next_event = next_event  # type: ignore[method-assign]
        return run


def ends_as_our_fault(world: World, engine: ProcessEngine, capsys: pytest.CaptureFixture[str]) -> None:
    """Link, and check that user, workflow and operator learn that the fault is ours."""
    attempt, workflow = world.claim(), RecordedWorkflow()
    world.attempts.open_phase(attempt, entered(Phase.QR, "token"), 120)
    capsys.readouterr()
    assert link(attempt, world.leases, world.session_rows, workflow, engine) == Reason.LINKER_FAILED
    row = world.attempt(attempt)
    assert (row["verdict"], row["reachable"]) == (Reason.LINKER_FAILED, True)
    assert workflow.calls[-1] == ("fail", "token")
    assert values(metrics_in(capsys.readouterr().out), "EngineStoreFailed") == [1]


# ── at the start ──


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda url: url.replace(ROLE, "s3cret"), "SQLSTATE 28000"),
        (lambda url: url + "s3cret", "SQLSTATE 3D000"),
        (lambda url: url + "?sslmode=require", "TLS to Postgres fails"),
        (lambda url: url + "?sslmode=verify-full&sslrootcert=/s3cret.pem", "names is not there"),
        (lambda _: "postgresql://s3cret:s3cret@127.0.0.1:1/s3cret", "connection refused"),
        (lambda _: "postgresql://s3cret:s3cret@s3cret.invalid/s3cret", "cannot be reached"),
    ],
    ids=["role", "database", "no TLS", "no CA", "closed port", "unknown host"],
)
def test_a_refused_url_ends_the_attempt_after_one_engine(
    world: World, change: Callable[[str], str], told: str, causes: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    engine = Watched(change(login(world.url, ROLE)))
    ends_as_our_fault(world, engine, capsys)
    assert engine.started == len(causes) == 1
    assert told in causes[0]
    assert "s3cret" not in causes[0]


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (f"DROP SCHEMA {SCHEMA} CASCADE", "SQLSTATE"),
        (f"ALTER SCHEMA {SCHEMA} RENAME TO gone", "SQLSTATE"),
        (f"REVOKE ALL ON SCHEMA {SCHEMA} FROM {ROLE}", "SQLSTATE 42P01"),
        (f"REVOKE ALL ON ALL TABLES IN SCHEMA {SCHEMA} FROM {ROLE}", "SQLSTATE 42501"),
        (f"DROP TABLE {SCHEMA}.whatsmeow_version", "SQLSTATE 42501"),
    ],
)
def test_a_broken_schema_ends_the_attempt_with_one_engine(
    world: World, statement: str, told: str, causes: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    world.sql(statement)
    engine = Watched(login(world.url, ROLE))
    ends_as_our_fault(world, engine, capsys)
    assert engine.started == len(causes) == 1
    assert told in causes[0]


def test_a_role_without_a_free_connection_is_our_fault(
    world: World, causes: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with no_connection_left(world):
        ends_as_our_fault(world, Watched(login(world.url, ROLE)), capsys)
    assert "SQLSTATE 53300" in causes[0]


def test_a_silent_postgres_is_our_fault(world: World, causes: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://{ROLE}@127.0.0.1:{silent.getsockname()[1]}/x?connect_timeout=60"
        engine = Watched(url)
        ends_as_our_fault(world, engine, capsys)
    assert (engine.started, causes) == (2, ["Postgres does not answer"] * 2)


@pytest.mark.parametrize(
    "url", ["", "mysql://x", "postgresql://me:p@aws-0-eu-west-1.pooler.supabase.com:6543/postgres"], ids=str
)
def test_a_url_that_cannot_be_used_is_our_fault(
    world: World, causes: list[str], url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = Watched(url)
    ends_as_our_fault(world, engine, capsys)
    assert engine.started == len(causes) == 1


# ── at the scan, and at the login ──


@pytest.mark.parametrize(
    ("table", "moment"), [(KEYS, Qr), (IDENTITIES, Qr), (PREKEYS, Qr), (PREKEYS, Scanned)], ids=str
)
def test_a_table_without_rights_is_not_shown_as_a_refused_scan(
    world: World,
    sandbox: SandboxClient,
    number: str,
    table: str,
    moment: type[Event],
    causes: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    sandbox.set_knobs(loginDelaySeconds=1)

    def lose_the_right(_: Event) -> None:
        world.sql(f"REVOKE ALL ON {table} FROM {ROLE}")

    def scan(event: Event) -> None:
        assert isinstance(event, Qr)
        if moment is Qr:
            lose_the_right(event)
        try:
            sandbox.scan(event.text, number)
        except SandboxRefusedError:
            assert moment is Qr

    engine = Watched(login(world.url, ROLE), {Qr: scan} | ({Scanned: lose_the_right} if moment is Scanned else {}))
    ends_as_our_fault(world, engine, capsys)
    assert engine.started == 1
    assert f"SQLSTATE 42501 (the role lacks a right): {table.partition('.')[2]}" in causes[0]


@pytest.mark.parametrize("moment", [Qr, Scanned], ids=["scan", "login"])
def test_a_lost_postgres_is_not_shown_as_a_refused_scan(
    world: World,
    sandbox: SandboxClient,
    number: str,
    postgres: Postgres,
    moment: type[Event],
    causes: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    sandbox.set_knobs(loginDelaySeconds=1)
    way = PostgresProxy(postgres.port)

    def cut(_: Event) -> None:
        way.close()
        world.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", ROLE)

    def scan(event: Event) -> None:
        assert isinstance(event, Qr)
        if moment is Qr:
            cut(event)
        scanning.submit(sandbox.scan, event.text, number)

    url = login(world.url, ROLE).replace(f":{postgres.port}/", f":{way.port}/")
    engine = Watched(url, {Qr: scan} | ({Scanned: cut} if moment is Scanned else {}))
    with ThreadPoolExecutor(1) as scanning:
        ends_as_our_fault(world, engine, capsys)
    assert engine.started == len(causes) == 2
    assert all("Postgres cannot be reached" in cause for cause in causes)


def test_a_login_without_a_free_connection_is_tried_again(
    world: World, sandbox: SandboxClient, number: str, causes: list[str]
) -> None:
    """A device without prekeys would look connected and receive no messages."""
    sandbox.set_knobs(loginDelaySeconds=1)
    attempt, limit = world.claim(), world.value("SELECT rolconnlimit FROM pg_roles WHERE rolname = %s", ROLE)

    def lose_connections(_: Event) -> None:
        world.sql(f"ALTER ROLE {ROLE} CONNECTION LIMIT 0")
        world.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", ROLE)

    def get_them_back(_: Event) -> None:
        world.sql(f"ALTER ROLE {ROLE} CONNECTION LIMIT {limit}")

    def scan(event: Event) -> None:
        assert isinstance(event, Qr)
        sandbox.scan(event.text, number)

    engine = Watched(login(world.url, ROLE), {Qr: scan, Scanned: lose_connections, DatabaseFailed: get_them_back})
    try:
        assert link(attempt, world.leases, world.session_rows, RecordedWorkflow(), engine) == "connected"
    finally:
        get_them_back(DatabaseFailed(""))
    assert engine.started == 2
    assert "SQLSTATE 53300" in causes[0]
    assert world.value(f"SELECT count(*) FROM {PREKEYS} WHERE uploaded") > 0


# ── the unlink ──


@pytest.mark.parametrize("fault", ["role", "right", "misconfigured"])
def test_an_unlink_does_not_blame_whatsapp(
    world: World, causes: list[str], capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    user, secret = world.user(), Secret()
    world.link(user, secret)
    (device,) = world.attempts.disconnect(user).devices
    url = login(world.url, ROLE)
    if fault == "right":
        world.sql(f"REVOKE SELECT ON {KEYS} FROM {ROLE}")
    url = {"role": url.replace(ROLE, "s3cret"), "misconfigured": "mysql://s3cret"}.get(fault, url)
    capsys.readouterr()
    with pytest.raises(EngineDatabaseFailed) as caught:
        unlink(device, world.devices, ProcessEngine(lambda: url))
    assert "WhatsApp did not confirm" not in str(caught.value)
    assert values(metrics_in(capsys.readouterr().out), "EngineStoreFailed") == [1]
    assert len(causes) == 1
    assert world.has_keys(secret)
    assert world.bound(secret)["lease_id"] is None


def test_a_malformed_secret_is_reported_by_its_name(
    world: World, causes: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    def url() -> str:
        raise MisconfiguredError('The secret whatsapp-pairing/engine is not JSON with a key "url".')

    ends_as_our_fault(world, ProcessEngine(url), capsys)
    assert causes == ['The secret whatsapp-pairing/engine is not JSON with a key "url".']
