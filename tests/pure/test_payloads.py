"""The events that our functions send to each other."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from whatsapp_pairing.core.errors import InvalidPayload
from whatsapp_pairing.pairing.attempt import Phase
from whatsapp_pairing.payloads import Link, OpenPhase, SettlePhase, Unlink, parse

ENTERED = "2026-11-28T20:14:13.192Z"
KINDS: list[type[Any]] = [OpenPhase, SettlePhase, Link, Unlink]
garbage = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
fields = st.dictionaries(
    st.sampled_from(["attemptId", "phase", "taskToken", "enteredAt", "error", "deviceId", "attempt_id"]),
    garbage,
    max_size=4,
)


def test_well_formed_events_are_parsed() -> None:
    attempt_id, device_id = uuid4(), uuid4()
    opening = parse(OpenPhase, {"attemptId": str(attempt_id), "phase": "auth", "taskToken": "t", "enteredAt": ENTERED})
    assert (opening.attempt_id, opening.phase, opening.task_token) == (attempt_id, Phase.AUTH, "t")
    assert opening.entered_at == datetime(2026, 11, 28, 20, 14, 13, 192_000, UTC)
    assert parse(SettlePhase, {"attemptId": str(attempt_id), "error": "States.Timeout"}).error == "States.Timeout"
    assert parse(Link, {"attemptId": str(attempt_id), "added": "later"}).attempt_id == attempt_id
    assert parse(Unlink, {"deviceId": str(device_id)}).device_id == device_id


@pytest.mark.parametrize("kind", KINDS)
@given(event=garbage | fields)
def test_garbage_is_refused_and_not_quoted(kind: type[Any], event: object) -> None:
    refused: InvalidPayload | None = None
    try:
        parse(kind, event)
    except InvalidPayload as error:
        refused = error
    if refused is None:
        assert isinstance(event, dict)
        return
    assert refused.__suppress_context__
    said = refused.message.removeprefix(f"{kind.__name__}: wrong or missing: ").split(", ")
    assert set(said) <= {"attemptId", "phase", "taskToken", "enteredAt", "error", "deviceId", "event"}


def test_a_wrong_field_is_named_without_its_value() -> None:
    secret = "AQCoAAAAKgAAAAMAAAAA"
    with pytest.raises(InvalidPayload, match="OpenPhase: wrong or missing: attemptId, phase, enteredAt") as refused:
        parse(OpenPhase, {"attemptId": secret, "phase": secret, "taskToken": secret, "enteredAt": secret})
    assert secret not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("token", ["", None, 7])
def test_a_token_is_a_text(token: object) -> None:
    with pytest.raises(InvalidPayload, match="taskToken"):
        parse(OpenPhase, {"attemptId": str(uuid4()), "phase": "qr", "taskToken": token, "enteredAt": ENTERED})


def test_a_token_is_not_shown() -> None:
    event = {"attemptId": str(uuid4()), "phase": "qr", "taskToken": "secret-token", "enteredAt": ENTERED}
    opening = parse(OpenPhase, event)
    assert "secret-token" not in repr(opening) + str(opening)
