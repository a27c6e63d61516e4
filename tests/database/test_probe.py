"""The result of the probe for each event that an engine may report."""

from __future__ import annotations

import pytest
from whatsapp_pairing.core.engine import DatabaseFailed, Died, Exhausted, Reached, Refused, Unreachable
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.probe import Probe, probe

from tests.support.adv_secret import Secret
from tests.support.metrics import metrics_in, values
from tests.support.repositories import World
from tests.support.scripted_engine import Stage, Step, qr

LIMIT = 45.0


def ask(world: World, *script: Step) -> tuple[Probe, Stage]:
    stage = Stage(world, list(script))
    return probe(stage, LIMIT, stage.clock), stage


def test_a_probe_that_gets_a_qr_succeeds_and_stores_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    secret = Secret()
    before = world.snapshot("whatsapp_private.devices", "public.whatsapp_sessions")

    probed, stage = ask(world, 1.0, Reached(), 2.0, qr(secret))

    assert probed == Probe(None, 3.0)
    assert stage.started == ["pair"]
    assert not stage.open
    assert world.snapshot("whatsapp_private.devices")["whatsapp_private.devices"] == before["whatsapp_private.devices"]
    written = capsys.readouterr()
    metrics = metrics_in(written.out)
    assert {metric.name for metric in metrics} == {"ProbeQr", "ProbeTimeToQr"}
    assert (values(metrics, "ProbeQr"), values(metrics, "ProbeTimeToQr")) == ([1], [3000])
    assert secret.text() not in written.out + written.err


@pytest.mark.parametrize(
    ("script", "reason", "seconds"),
    [
        ([Reached(), 1.0, Refused(Reason.CLIENT_OUTDATED)], Reason.CLIENT_OUTDATED, 1.0),
        ([1.0, Unreachable()], Reason.WHATSAPP_UNREACHABLE, 1.0),
        ([Reached(), 1.0, Exhausted()], Reason.WHATSAPP_UNREACHABLE, 1.0),
        ([1.0, Died("boom")], Reason.INTERNAL, 1.0),
        ([1.0, DatabaseFailed("28P01")], Reason.INTERNAL, 1.0),
        ([], Reason.QR_TIMEOUT, LIMIT),
        ([Reached()], Reason.QR_TIMEOUT, LIMIT),
        ([30.0, Reached(), 16.0, qr(Secret())], Reason.QR_TIMEOUT, LIMIT),
    ],
    ids=str,
)
def test_a_probe_without_a_qr_fails_with_a_reason(
    world: World, capsys: pytest.CaptureFixture[str], script: list[Step], reason: Reason, seconds: float
) -> None:
    probed, stage = ask(world, *script)
    assert probed == Probe(reason, seconds)
    assert not stage.open
    metrics = metrics_in(capsys.readouterr().out)
    assert {metric.name for metric in metrics} == {"ProbeQr", "ProbeFailed"}
    assert (values(metrics, "ProbeQr"), values(metrics, "ProbeFailed", reason=reason)) == ([0], [1])
