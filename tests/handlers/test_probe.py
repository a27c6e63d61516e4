"""The probe, with an engine whose events the test chooses."""

from __future__ import annotations

import json

import pytest
from whatsapp_pairing.core.engine import (
    Event,
    Qr,
    Reached,
    Refused,
)
from whatsapp_pairing.core.reasons import Reason

from tests.support.adv_secret import Secret
from tests.support.handlers import App, Context, event
from tests.support.metrics import metrics_in, values
from tests.support.played_engine import Played


@pytest.mark.parametrize(
    ("said", "failure", "value"),
    [
        ([Reached(), Qr(Secret().text(), 60)], None, 1),
        ([Reached(), Refused(Reason.CLIENT_OUTDATED)], "client_outdated", 0),
    ],
)
def test_the_probe_answers_with_its_result(
    app: App, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], said: list[Event],
    failure: str | None, value: int,
) -> None:  # fmt: skip
    module, played = app("probe"), Played(*said)
    environment.setattr(module, "ProcessEngine", lambda **_: played)
    environment.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    answer = module.handler(event("cleanup"), Context())
    assert json.loads(json.dumps(answer))["failure"] == failure
    assert (played.asked, played.closed) == (["pair"], 1)
    assert values(metrics_in(capsys.readouterr().out), "ProbeQr") == [value]
