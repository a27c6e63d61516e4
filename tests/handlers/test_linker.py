"""The linker, with an engine whose events the test chooses."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from whatsapp_pairing.core.engine import (
    Online,
    Qr,
    Reached,
    Scanned,
    Synced,
)

from tests.support.adv_secret import Secret
from tests.support.handlers import App, Context, event, task
from tests.support.played_engine import Played
from tests.support.repositories import JID


def test_the_linker_pairs_and_says_nothing_secret(
    app: App, world: Any, user: UUID, environment: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    attempt_id, secret, linker = world.claim(user), Secret(), app("linker")
    played = Played(
        Reached(), Qr(secret.text(), 60), lambda: world.store_keys(secret, JID), Scanned(JID), Synced(),
        Online(JID),
    )  # fmt: skip
    environment.setattr(linker, "ProcessEngine", played)
    caplog.set_level("DEBUG")

    assert linker.handler(task("linker", attemptId=attempt_id), Context()) == {"outcome": "connected"}

    assert (played.asked, played.closed) == (["pair"], 1)
    assert world.attempt(attempt_id)["outcome"] == "connected"
    written = caplog.text + "".join(capsys.readouterr()) + repr([record.__dict__ for record in caplog.records])
    assert "engine event" in written
    for hidden in (secret.text(), secret.text().rpartition(",")[0], JID, "5215550001"):
        assert hidden not in written


def test_a_linker_without_an_attempt_answers_not_needed(app: App, environment: pytest.MonkeyPatch) -> None:
    linker, played = app("linker"), Played()
    environment.setattr(linker, "ProcessEngine", played)
    assert linker.handler(event("linker"), Context()) == {"outcome": "not_needed"}
    assert played.asked == []
