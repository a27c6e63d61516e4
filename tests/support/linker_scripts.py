"""What the tests of a linker share: common scripts of its engine, and the state after a pairing."""

from __future__ import annotations

from whatsapp_pairing.core.engine import (
    Reached,
    Synced,
)
from whatsapp_pairing.pairing.attempt import HEARTBEAT_SECONDS
from whatsapp_pairing.session.session import Status

from tests.support.adv_secret import Secret
from tests.support.scripted_engine import JID, Stage, Step, online, outcome_of

RESUME = f"resume {JID}"
LOGIN: list[Step] = [Reached(), 0.3, online(), 0.5, Synced()]
# Engines that reach WhatsApp and then report nothing. Together they last longer than a login may take.
HANGING: list[list[Step]] = [[Reached()] for _ in range(8)]


def connected(stage: Stage, secret: Secret) -> None:
    """Check that the device is linked, and that the pairing has left nothing else."""
    session, device = stage.world.sessions.get(stage.user), stage.world.bound(secret)
    assert (session.status, session.phone_number) == (Status.CONNECTED, "5215550009")
    assert outcome_of(stage.world, stage.attempt_id) == "connected"
    assert (device["state"], device["lease_id"]) == ("linked", None)
    assert stage.workflow.calls[-1] == ("succeed", "token-auth")
    assert not stage.open
    assert stage.longest_silence() < HEARTBEAT_SECONDS
