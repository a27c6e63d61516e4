"""Each function refuses an event with wrong fields, and names the field."""

from __future__ import annotations

from typing import Any

import pytest
from whatsapp_pairing.core.errors import (
    InvalidPayload,
)

from tests.support.handlers import Call


@pytest.mark.parametrize("name", ["open_phase", "settle_phase", "linker", "unlink"])
@pytest.mark.parametrize("happened", [{}, [], None, {"attemptId": "x", "deviceId": "x"}], ids=str)
def test_an_event_of_another_shape_is_refused_by_name(call: Call, name: str, happened: Any) -> None:
    with pytest.raises(InvalidPayload):
        call(name, happened)
