"""The engine's password has changed: the server refuses one login, and the next engine uses the new password."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws
from whatsapp_engine.process import ProcessEngine
from whatsapp_pairing.core.engine import DatabaseFailed, Event, Qr, Reached
from whatsapp_pairing.core.errors import EngineDatabaseFailed
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.keeper.unlink import unlink
from whatsapp_pairing.pairing.linker import link
from whatsapp_pairing.runtime import secrets

from tests.support import pgbouncer
from tests.support.adv_secret import Secret
from tests.support.asked_passwords import AskedRole, UrlSecret, asking
from tests.support.recorded_workflow import RecordedWorkflow
from tests.support.repositories import JID, World, open_world
from tests.support.sandbox_client import SandboxClient

pytestmark = pytest.mark.usefixtures("led")

OLD, NEW = "0ld-s3cret", "n3w-s3cret"
EVENT_SECONDS = 60.0
LONG = 10.0**9  # by the monotonic clock: these engines need no lease


@pytest.fixture
def world(migrated_url: str) -> Iterator[World]:
    """A database of these tests."""
    yield from open_world(migrated_url)


@pytest.fixture
def role(postgres: Any, migrated_url: str) -> Iterator[AskedRole]:
    """The engine's role, which must give the old password."""
    with asking(postgres, migrated_url, "whatsapp_engine") as role:
        role.set_password(OLD)
        yield role


@pytest.fixture
def secret(role: AskedRole, monkeypatch: pytest.MonkeyPatch) -> Iterator[UrlSecret]:
    """The engine's secret. This instance has read it before, so it knows the old password."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws():
        secrets._secrets.cache_clear()
        secret = UrlSecret(role.url(OLD))
        secret.read()
        yield secret
        secrets._secrets.cache_clear()


def first_event(engine: ProcessEngine) -> Event | None:
    """Start an engine and return its first event."""
    with engine.pair(LONG) as run:
        return run.next_event(EVENT_SECONDS)


def test_a_linker_uses_the_new_password_after_one_refusal(
    world: World, role: AskedRole, secret: UrlSecret, sandbox: SandboxClient, number: str, causes: list[str]
) -> None:
    role.set_password(NEW)
    secret.put(role.url(NEW))
    attempt = world.claim()
    engine = ProcessEngine(secret.read)
    events: list[Event | None] = []

    class Scanning:
        """Scans the first QR, as soon as the linker has stored it."""

        def __call__(self, run: Any) -> Any:
            listen = run.next_event

            def next_event(timeout: float) -> Event | None:
                if events and isinstance(events[-1], Qr):
                    sandbox.scan(events[-1].text, number)
                events.append(listen(timeout))
                return events[-1]

            run.next_event = next_event
            return run

    scanning, pair = Scanning(), engine.pair
    engine.pair = lambda until: scanning(pair(until))  # type: ignore[method-assign]
    assert link(attempt, world.leases, world.session_rows, RecordedWorkflow(), engine) == "connected"
    failed = [event for event in events if isinstance(event, DatabaseFailed)]
    assert [event.passes for event in failed] == [True]
    assert role.refusals == 1
    assert "28P01" in causes[0]
    assert "s3cret" not in "".join(causes)


def test_a_wrong_password_ends_attempts_with_one_refusal(
    world: World, role: AskedRole, secret: UrlSecret, causes: list[str]
) -> None:
    role.set_password(NEW)
    engine = ProcessEngine(secret.read)
    for _ in range(3):
        attempt = world.claim()
        ended = link(attempt, world.leases, world.session_rows, RecordedWorkflow(), engine)
        assert ended == Reason.LINKER_FAILED
    assert role.refusals == 1
    assert "refuses the login: correct the user or the password" in causes[-1]
    assert "s3cret" not in "".join(causes)


def test_an_unlink_that_lambda_repeats_uses_the_new_password(world: World, role: AskedRole, secret: UrlSecret) -> None:
    """WhatsApp does not know this device, so the engine logs it out as soon as it can read its keys."""
    user, keys = world.user(), Secret()
    world.link(user, keys, JID)
    world.attempts.disconnect(user)
    device_id = world.bound(keys)["id"]
    role.set_password(NEW)
    secret.put(role.url(NEW))
    engine = ProcessEngine(secret.read)
    with pytest.raises(EngineDatabaseFailed):
        unlink(device_id, world.devices, engine)
    assert role.refusals == 1
    with engine.pair(LONG) as run:
        assert isinstance(run.next_event(EVENT_SECONDS), Reached | Qr)
    assert role.refusals == 1


def test_an_engine_behind_pgbouncer_is_refused_once(
    postgres: Any, role: AskedRole, secret: UrlSecret, causes: list[str]
) -> None:
    pgbouncer.require()
    with pgbouncer.pooling(
        postgres.port,
        auth_type="scram-sha-256",
        pool_mode="session",
        ignore_startup_parameters="options,search_path",
    ) as pooler:
        pooler.set_password(role.name, OLD)
        secret.put(role.url(NEW, pooler.port))
        with secrets.read_anew():
            secret.read()
        engine = ProcessEngine(secret.read)
        for _ in range(3):
            event = first_event(engine)
            assert isinstance(event, DatabaseFailed)
            assert event.login_refused
            assert not event.passes
        assert pooler.refusals == 1
    assert "SQLSTATE 08P01 (the role, its password or its address is refused)" in causes[0]


@pytest.mark.parametrize("ignored", ["extra_float_digits", "search_path"])
def test_a_pgbouncer_that_refuses_options_is_named(
    postgres: Any, role: AskedRole, causes: list[str], ignored: str
) -> None:
    pgbouncer.require()
    with pgbouncer.pooling(postgres.port, pool_mode="session", ignore_startup_parameters=ignored) as pooler:
        event = first_event(ProcessEngine(lambda: role.url(OLD, pooler.port)))
    assert isinstance(event, DatabaseFailed)
    assert (event.passes, event.login_refused) == (False, False)
    assert causes[0].startswith("the pooler refuses the engine's options with search_path: add options and")
