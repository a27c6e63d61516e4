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
WAITS = {"WaitForQr": "qr", "WaitForAuth": "auth"}
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
def test_each_wait_is_a_callback_with_an_explicit_window(state: str) -> None:
    wait = deployed()["States"][state]
    assert wait["Resource"].endswith(".waitForTaskToken")
    assert wait["Parameters"]["Payload"]["phase"] == WAITS[state]
    assert (wait["TimeoutSeconds"], wait["HeartbeatSeconds"]) == (120, 10)


def test_the_windows_are_the_templates_parameters() -> None:
    states = deployed(QrTimeoutSeconds=30, AuthTimeoutSeconds=60)["States"]
    assert [states[state]["TimeoutSeconds"] for state in WAITS] == [30, 60]


def test_a_repeated_wait_lasts_as_long_as_settle_phase_answers() -> None:
    states = deployed()["States"]
    again, answers = states["WaitAgain"], states["SettlePhase"]
    assert answers["ResultPath"] == "$.again"
    assert answers["ResultSelector"] == {
        f"{name}.$": f"$.Payload.{name}" for name in ("next", "seconds", "heartbeat", "pause")
    }
    assert (again["TimeoutSecondsPath"], again["HeartbeatSecondsPath"]) == ("$.again.seconds", "$.again.heartbeat")
    assert again["Parameters"]["Payload"]["phase.$"] == "$.again.next"
    first = states["WaitForQr"]
    for field in ("Type", "Resource", "ResultPath", "Catch"):
        assert again[field] == first[field]
    assert again["Parameters"]["FunctionName"] == first["Parameters"]["FunctionName"]


def test_the_scan_follows_a_repeated_wait_for_the_qr() -> None:
    states = deployed()["States"]
    assert states["WaitAgain"]["Next"] == "WhichWait"
    assert states["WhichWait"]["Choices"] == [{"Variable": "$.again.next", "StringEquals": "qr", "Next": "WaitForAuth"}]
    assert states["WhichWait"]["Default"] == "Ended"


def test_every_failure_of_a_wait_leads_to_settle_phase() -> None:
    states = deployed()["States"]
    for state in (*WAITS, "WaitAgain"):
        (catch,) = states[state]["Catch"]
        assert catch["ErrorEquals"] == ["States.ALL"]
        assert catch["Next"] == "SettlePhase"


def test_a_good_pairing_has_two_transitions_and_no_polling() -> None:
    states = deployed()["States"]
    path, state = [], deployed()["StartAt"]
    while state:
        path.append(state)
        state = states[state].get("Next")
    assert path == list(WAITS)
    assert states[path[-1]]["End"] is True
    assert all(states[name]["Type"] == "Task" for name in path)


def test_the_workflow_pauses_before_it_repeats_a_wait() -> None:
    states = deployed()["States"]
    assert states["SettlePhase"]["Next"] == "Pause"
    assert states["Pause"] == states["Pause"] | {"Type": "Wait", "SecondsPath": "$.again.pause", "Next": "WhatNext"}
    ways = [
        name for name, state in states.items() if "WaitAgain" in json.dumps([state.get("Next"), state.get("Choices")])
    ]
    assert ways == ["WhatNext"]
