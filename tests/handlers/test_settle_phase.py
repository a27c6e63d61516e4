"""The task that the workflow calls after a wait that has failed."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.runtime.workflow import DECIDED

from tests.support.adv_secret import Secret
from tests.support.handlers import Aws, Call, task
from tests.support.metrics import metrics_in, values
from tests.support.repositories import JID


def test_a_lost_linker_gets_another_for_the_rest_of_the_window(call: Call, world: Any) -> None:
    attempt_id = world.claim()
    world.age(100)
    answer = call("settle_phase", task("settle_phase", attemptId=attempt_id))
    assert answer["next"] == "qr"
    assert 18 <= answer["seconds"] <= 20
    assert (answer["heartbeat"], answer["pause"]) == (10, 0)
    assert json.loads(json.dumps(answer)) == answer


@pytest.mark.parametrize("error", ["WorkflowUnavailable", "Sandbox.Timedout", "Lambda.TooManyRequestsException"])
def test_a_wait_that_failed_at_once_starts_again_after_a_pause(call: Call, world: Any, error: str) -> None:
    event = task("settle_phase", attemptId=world.claim(), error=error)
    answer = call("settle_phase", event)
    assert (answer["next"], answer["pause"]) == ("qr", 2)
    assert answer["seconds"] + answer["pause"] <= 120


@pytest.mark.parametrize("error", ["States.Timeout", "States.HeartbeatTimeout"])
def test_a_lost_linker_is_replaced_without_a_pause(call: Call, world: Any, error: str) -> None:
    assert call("settle_phase", task("settle_phase", attemptId=world.claim(), error=error))["pause"] == 0


def test_a_window_that_is_over_ends_the_attempt(call: Call, world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    attempt_id = world.claim()
    world.lease(attempt_id)
    world.age(130)
    answer = call("settle_phase", task("settle_phase", attemptId=attempt_id))
    assert answer == {"next": "qr_timeout", "seconds": 0, "heartbeat": 0, "pause": 0}
    assert world.attempt(attempt_id)["outcome"] == "qr_timeout"
    assert values(metrics_in(capsys.readouterr().out), "PairingEnded", outcome="qr_timeout") == [1]


# These verdicts say that no phone has scanned, so a scan overrides them.
NOT_SCANNED = (Reason.QR_TIMEOUT, Reason.SCAN_TIMEOUT, Reason.SCAN_NOT_REPEATED)


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason not in NOT_SCANNED])
def test_every_verdict_ends_it_and_unlinks_scanned_devices(call: Call, aws: Aws, world: Any, reason: Reason) -> None:
    attempt_id, secret = world.claim(), Secret()
    lease = world.lease(attempt_id)
    world.show(attempt_id, lease, secret)
    world.store_keys(secret, JID)
    world.leases.release(attempt_id, lease, reason)
    answer = call("settle_phase", task("settle_phase", attemptId=attempt_id, error=DECIDED))
    assert answer["next"] == reason
    assert aws.invocations == [("unlink", "Event", {"deviceId": str(world.bound(secret)["id"])})]


def test_a_connected_or_deleted_attempt_is_only_reported(call: Call, world: Any, user: UUID) -> None:
    attempt_id = world.link(user, Secret())
    assert call("settle_phase", task("settle_phase", attemptId=attempt_id))["next"] == "connected"
    assert call("settle_phase", task("settle_phase", attemptId=uuid4()))["next"] == "internal"
