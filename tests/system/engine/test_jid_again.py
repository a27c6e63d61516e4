"""A phone removes a device, and WhatsApp gives its JID to the next device. Then two bindings have one JID."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import UUID

import pytest
from whatsapp_engine.process import ProcessEngine
from whatsapp_pairing.cleanup import Cleaning
from whatsapp_pairing.core.engine import EngineRun, Online, Qr, Reached, Scanned, Synced
from whatsapp_pairing.keeper.unlink import unlink

from tests.support.logins import login
from tests.support.recorded_workflow import RecordedWorkflow
from tests.support.repositories import World, open_world
from tests.support.sandbox_client import SandboxClient

EVENT_SECONDS = 60.0
# A time far ahead: the engines of these tests need no lease.
LONG = time.monotonic() + 24 * 3600
# The login of the old device takes this long. If the new device needs longer to pair, the test proves less.
AFTER_SCAN_SECONDS = 8
NUMBERS = "SELECT pn FROM whatsapp_engine.whatsmeow_lid_map"


@pytest.fixture(autouse=True)
def whatsapp(sandbox: SandboxClient, led: None) -> None:
    """A WhatsApp that gives every device of a phone the same JID."""
    sandbox.set_knobs(deviceIndexes=1)


@pytest.fixture
def world(migrated_url: str) -> Iterator[World]:
    yield from open_world(migrated_url)


@pytest.fixture
def beside(migrated_url: str) -> Iterator[World]:
    """A second connection to the same database, for another thread."""
    yield from open_world(migrated_url)


class Device:
    """A device that the real engine has paired: its user, its binding and its JID."""

    def __init__(self, world: World, sandbox: SandboxClient, number: str) -> None:
        self._world = world
        self.user, self.jid = world.user(), ""
        attempt_id = world.claim(self.user)
        lease = world.lease(attempt_id)
        with engine_of(world).pair(LONG) as run:
            while not isinstance(event := run.next_event(EVENT_SECONDS), Online):
                assert isinstance(event, Reached | Qr | Scanned | Synced), event
                if isinstance(event, Qr):
                    self.fingerprint = event.fingerprint
                    assert world.leases.show_qr(attempt_id, lease, event.text, 60, event.fingerprint)
                    sandbox.scan(event.text, number)
                elif isinstance(event, Scanned):
                    self.jid = event.jid
                    assert world.leases.scanned(attempt_id, lease, self.jid)
            assert world.leases.connected(attempt_id, lease, event.jid)

    @property
    def stored_jid(self) -> str | None:
        """The JID of the device's stored keys."""
        jid: str | None = self._world.value("SELECT whatsapp_private.stored_jid(%s)", self.fingerprint)
        return jid

    def disconnect(self) -> UUID:
        """Disconnect the device's user and return the id of the binding."""
        self._world.attempts.disconnect(self.user)
        device: UUID = self._world.value(
            "SELECT id FROM whatsapp_private.devices WHERE fingerprint = %s", self.fingerprint
        )
        return device


def engine_of(world: World) -> ProcessEngine:
    """The real engine, with its own database login."""
    return ProcessEngine(lambda: login(world.url, "whatsapp_engine"))


class Interrupted(ProcessEngine):
    """An engine that calls ``before`` at its start, and ``during`` on a thread while the unlink renews its lease."""

    def __init__(self, world: World, before: Callable[[], None], during: Callable[[], None]) -> None:
        super().__init__(lambda: login(world.url, "whatsapp_engine"))
        self._before, self._during = before, during

    @contextmanager
    def log_out(self, jid: str, until: float) -> Iterator[EngineRun]:  # type: ignore[override]
        self._before()
        with ThreadPoolExecutor(1) as pool, super().log_out(jid, until) as run:
            happens = pool.submit(self._during)
            yield run
            happens.result()


def nothing() -> None:
    """Do nothing."""


def test_the_next_device_of_a_jid_gets_linked(world: World, sandbox: SandboxClient, number: str) -> None:
    first = Device(world, sandbox, number)
    sandbox.unlink(number)

    second = Device(world, sandbox, number)

    assert second.jid == first.jid
    assert (first.stored_jid, second.stored_jid) == (None, first.jid)
    with engine_of(world).resume(second.jid, LONG) as run:
        assert {type(run.next_event(EVENT_SECONDS)) for _ in range(3)} >= {Online, Synced}
    world.sql("INSERT INTO whatsapp_engine.whatsmeow_privacy_tokens VALUES (%s, 'contact', 'token', 1)", second.jid)
    unlink(first.disconnect(), world.devices, engine_of(world))
    assert second.stored_jid == second.jid
    assert [device["jid"] for device in sandbox.devices(number)] == [second.jid]
    assert world.sql(NUMBERS) == [{"pn": number}]
    assert world.value("SELECT count(*) FROM whatsapp_engine.whatsmeow_privacy_tokens") == 1
    unlink(second.disconnect(), world.devices, engine_of(world))
    assert sandbox.devices(number) == []
    assert gone(world)


@pytest.mark.parametrize("moment", ["before the engine loads", "while the engine logs in"])
def test_an_unlink_under_way_leaves_the_next_device_alone(
    world: World, beside: World, sandbox: SandboxClient, number: str, moment: str
) -> None:
    first = Device(world, sandbox, number)
    device_id = first.disconnect()
    seconds: list[Device] = []

    def pair_again() -> None:
        sandbox.unlink(number)
        sandbox.set_knobs(loginDelaySeconds=0)
        seconds.append(Device(beside, sandbox, number))

    def log_in_late() -> None:
        sandbox.set_knobs(loginDelaySeconds=AFTER_SCAN_SECONDS)

    def while_it_logs_in() -> None:
        world.wait_until(lambda: any(socket["state"] == "login" for socket in sandbox.state()["sockets"]))
        pair_again()

    early = moment == "before the engine loads"
    engine = Interrupted(world, pair_again if early else log_in_late, nothing if early else while_it_logs_in)
    unlink(device_id, world.devices, engine)

    (second,) = seconds
    assert second.jid == first.jid
    assert second.stored_jid == second.jid
    assert [device["jid"] for device in sandbox.devices(number)] == [second.jid]
    assert world.sql("SELECT fingerprint FROM whatsapp_private.devices") == [{"fingerprint": second.fingerprint}]
    unlink(second.disconnect(), world.devices, engine_of(world))
    assert sandbox.devices(number) == []
    assert gone(world)


def test_keys_that_no_binding_explains_are_unlinked(world: World, sandbox: SandboxClient, number: str) -> None:
    device, workflow = Device(world, sandbox, number), RecordedWorkflow()
    world.sql("DELETE FROM whatsapp_private.devices")

    Cleaning(world.services(workflow), world.sweeps, lambda: 120.0).run()

    ((device_id,),) = workflow.of("call_unlinks")
    unlink(device_id, world.devices, engine_of(world))
    assert device.stored_jid is None
    assert sandbox.devices(number) == []
    assert gone(world)


def gone(world: World) -> bool:
    """Run cleanup. Return whether no data of any device is left."""
    world.sql("DELETE FROM auth.users")
    Cleaning(world.services(RecordedWorkflow()), world.sweeps, lambda: 120.0).run()
    left = world.snapshot(
        "whatsapp_private.devices",
        "whatsapp_engine.whatsmeow_device",
        "whatsapp_engine.whatsmeow_privacy_tokens",
        "whatsapp_engine.whatsmeow_lid_map",
    )
    return not any(left.values())
