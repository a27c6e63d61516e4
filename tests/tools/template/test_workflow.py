"""The workflow's definition: AWS would accept it, and it has the properties that the design promises."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from statelint.linter import Linter

from infra.template.reading import read_template

ROOT = Path(__file__).resolve().parents[3]
WAITS = {"WaitForQr": ("QrWindow", "qr"), "WaitForAuth": ("AuthWindow", "auth")}
SUPPLIED = {"SupabaseUrl": "http://127.0.0.1", "AllowedOrigins": "http://127.0.0.1"}


def deployed(**parameters: object) -> dict[str, Any]:
    """Return the definition with the template's substitutions."""
    stack = read_template(ROOT / "template.yaml", SUPPLIED | parameters)
    (machine,) = stack.state_machines
    definition: dict[str, Any] = json.loads(machine.definition)
    return definition


def test_the_definition_is_valid() -> None:
    assert Linter.validate(deployed()) == []


def test_the_validator_sees_a_broken_transition() -> None:
    broken = deployed()
    broken["States"]["WaitForQr"]["Next"] = "Nowhere"
    assert any("Nowhere" in problem for problem in Linter.validate(broken))


def test_every_placeholder_is_substituted() -> None:
    assert "${" not in json.dumps(deployed())
    assert "arn:" not in re.sub(r"arn:aws:states:::lambda", "", (ROOT / "infra/stack/pairing.asl.json").read_text())


@pytest.mark.parametrize("state", WAITS)
def test_each_wait_is_a_callback_with_a_window_and_a_heartbeat(state: str) -> None:
    window, phase = WAITS[state]
    states = deployed()["States"]
    assert states[state]["Resource"].endswith(".waitForTaskToken")
    assert states[state]["Parameters"]["Payload"]["phase"] == phase
    assert states[window]["Result"] == {"seconds": 120, "heartbeat": 10}
    assert states[window]["Next"] == state
    assert states[state]["TimeoutSecondsPath"] == "$.window.seconds"
    assert states[state]["HeartbeatSecondsPath"] == "$.window.heartbeat"


def test_the_windows_are_the_templates_parameters() -> None:
    states = deployed(QrTimeoutSeconds=30, AuthTimeoutSeconds=60)["States"]
    assert states["QrWindow"]["Result"]["seconds"] == 30
    assert states["AuthWindow"]["Result"]["seconds"] == 60


def test_every_failure_of_a_wait_leads_to_settle_phase() -> None:
    states = deployed()["States"]
    for state in WAITS:
        (catch,) = states[state]["Catch"]
        assert catch["ErrorEquals"] == ["States.ALL"]
        assert catch["Next"] == "SettlePhase"


def test_a_good_pairing_has_few_transitions_and_no_polling() -> None:
    states = deployed()["States"]
    path, state = [], deployed()["StartAt"]
    while state:
        path.append(state)
        state = states[state].get("Next")
    assert path == ["QrWindow", "WaitForQr", "AuthWindow", "WaitForAuth", "Connected"]
    assert all(states[name]["Type"] != "Wait" for name in path)


def test_the_workflow_pauses_before_it_repeats_a_wait() -> None:
    states = deployed()["States"]
    assert states["SettlePhase"]["ResultSelector"]["pause.$"] == "$.Payload.pause"
    assert states["SettlePhase"]["Next"] == "Pause"
    assert states["Pause"] == states["Pause"] | {"Type": "Wait", "SecondsPath": "$.window.pause", "Next": "WhatNext"}
    for wait in WAITS:
        ways = [name for name, state in states.items() if wait in json.dumps([state.get("Next"), state.get("Choices")])]
        assert ways == [WAITS[wait][0], "WhatNext"]
