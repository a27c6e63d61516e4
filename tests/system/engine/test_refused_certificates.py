"""Linker and unlink name the cause of a refused TLS handshake as our fault, and do not blame WhatsApp."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from whatsapp_engine.process import ProcessEngine
from whatsapp_pairing.core.errors import EngineDatabaseFailed
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.keeper.unlink import unlink
from whatsapp_pairing.pairing.attempt import Phase
from whatsapp_pairing.pairing.linker import link
from whatsapp_pairing.runtime import tls_faults

from tests.support.adv_secret import Secret
from tests.support.certificates import Issued, authority, issue, server
from tests.support.logins import login
from tests.support.metrics import metrics_in, values
from tests.support.postgres import Postgres
from tests.support.recorded_workflow import RecordedWorkflow
from tests.support.repositories import World, entered, open_world
from tests.support.tls_proxy import in_front_of, listening

pytestmark = pytest.mark.usefixtures("led")

REFUSED = {
    "wrong CA": (issue(authority("Another Root"), "x", ("localhost",)), tls_faults.INCOMPLETE),
    "wrong name": (issue(authority(), "x", ("db.example.com",)), tls_faults.WRONG_NAME),
    "expired": (issue(authority(), "x", ("localhost",), valid=(-9, -1)), tls_faults.EXPIRED),
    "name in CN only": (issue(authority(), "localhost"), tls_faults.ONLY_COMMON_NAME),
}


@pytest.fixture
def world(migrated_url: str) -> Iterator[World]:
    """A database of these tests."""
    yield from open_world(migrated_url)


@contextmanager
def engine_behind(world: World, postgres: Postgres, leaf: Issued, folder: Path) -> Iterator[ProcessEngine]:
    """The real engine, whose way to Postgres shows a certificate."""
    root = folder / "root.pem"
    root.write_text(authority().pem)
    with listening(in_front_of(postgres.port, server(folder, leaf))) as port:
        url = login(world.url, "whatsapp_engine").replace(f"127.0.0.1:{postgres.port}", f"localhost:{port}")
        yield ProcessEngine(lambda: f"{url}?sslmode=verify-full&sslrootcert={root}")


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_certificate_ends_an_attempt_as_our_fault(
    world: World,
    postgres: Postgres,
    tmp_path: Path,
    causes: list[str],
    capsys: pytest.CaptureFixture[str],
    case: str,
) -> None:
    leaf, cause = REFUSED[case]
    attempt, workflow = world.claim(), RecordedWorkflow()
    world.attempts.open_phase(attempt, entered(Phase.QR, "token"), 120)
    capsys.readouterr()
    with engine_behind(world, postgres, leaf, tmp_path) as engine:
        assert link(attempt, world.leases, world.session_rows, workflow, engine) == Reason.LINKER_FAILED
    assert causes == [f"TLS to Postgres fails, because {cause}"]
    row = world.attempt(attempt)
    assert (row["verdict"], row["reachable"]) == (Reason.LINKER_FAILED, True)
    assert values(metrics_in(capsys.readouterr().out), "EngineStoreFailed") == [1]


def test_a_refused_certificate_ends_an_unlink_as_our_fault(
    world: World, postgres: Postgres, tmp_path: Path, causes: list[str]
) -> None:
    user, secret = world.user(), Secret()
    world.link(user, secret)
    (device,) = world.attempts.disconnect(user).devices
    leaf, cause = REFUSED["wrong CA"]
    with engine_behind(world, postgres, leaf, tmp_path) as engine, pytest.raises(EngineDatabaseFailed) as caught:
        unlink(device, world.devices, engine)
    assert "WhatsApp did not confirm" not in str(caught.value)
    assert causes == [f"TLS to Postgres fails, because {cause}"]
    assert world.has_keys(secret)
