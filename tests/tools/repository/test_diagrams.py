"""The two diagrams of ARCHITECTURE.md agree with the code, the template and the workflow."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from whatsapp_pairing.core import engine as port
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.core.results import Result
from whatsapp_pairing.pairing.attempt import Phase

from infra.template.intrinsics import load_yaml
from tests.support.mermaid import Arrow, blocks, sequence, states

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
PAIRING, ATTEMPT = sequence(blocks(DOCUMENT)[0]), states(blocks(DOCUMENT)[1])
RESOURCES: dict[str, Any] = load_yaml((ROOT / "template.yaml").read_text("utf-8"))["Resources"]
# The numbers of the definition are placeholders without quotation marks.
_NUMBERED = re.sub(r": \$\{\w+\}", ": 0", (ROOT / "infra/stack/pairing.asl.json").read_text("utf-8"))
DEFINITION: dict[str, Any] = json.loads(_NUMBERED)
WORKFLOW: dict[str, Any] = DEFINITION["States"]
PATHS = load_yaml((ROOT / "infra/stack/openapi.yaml").read_text("utf-8"))["paths"]
FILES = {path.stem: path.read_text("utf-8") for path in (ROOT / "migrations" / "functions").glob("*.sql")}
MIGRATED = "".join(path.read_text("utf-8") for path in sorted((ROOT / "migrations").glob("*.sql")))

# The participants outside of the stack. The code has no names for what they do to each other.
OUTSIDE = {"person", "browser", "whatsapp"}
# Key: the folder of a function. Value: the name of its resource in the diagrams.
RESOURCE_OF = {
    str(one["Properties"]["CodeUri"]).strip("/").removeprefix("functions/"): name
    for name, one in RESOURCES.items()
    if one["Type"] == "AWS::Serverless::Function"
}
FUNCTIONS = {folder: RESOURCES[name]["Properties"] for folder, name in RESOURCE_OF.items()}


# ── the sequence of one pairing ──


def test_every_participant_is_a_part_of_the_system() -> None:
    inside = PAIRING.names.keys() - OUTSIDE
    assert inside - FUNCTIONS.keys() == {"postgres", "workflow"}
    assert f"CREATE SCHEMA IF NOT EXISTS {PAIRING.names['postgres']}" in MIGRATED
    assert RESOURCES[PAIRING.names["workflow"]]["Type"] == "AWS::Serverless::StateMachine"
    assert PAIRING.undefined == PAIRING.lonely == set()


@pytest.mark.parametrize("arrow", PAIRING.arrows, ids=lambda one: f"{one.source}-{one.target}: {one.label}")
def test_the_code_can_send_every_message_of_the_sequence(arrow: Arrow) -> None:
    sent = set(arrow.label.split(", "))
    if {arrow.source, arrow.target} <= OUTSIDE:
        return
    assert sent <= messages(arrow.source, arrow.target)


def test_the_sequence_has_each_step_of_a_good_pairing() -> None:
    """It has each state that a good pairing enters, each way to answer it, and these events of the engine."""
    drawn = {label for arrow in PAIRING.arrows for label in arrow.label.split(", ")}
    waits, state = [DEFINITION["StartAt"]], WORKFLOW[DEFINITION["StartAt"]]
    while "Next" in state:
        waits.append(state["Next"])
        state = WORKFLOW[state["Next"]]
    assert {*waits} | {"Reached", "Qr", "Scanned", "Online", "Synced"} <= drawn


def messages(source: str, target: str) -> set[str]:
    """The messages that one participant can send to another, read from the code."""
    match source, target:
        case "whatsapp", "linker":
            found = {event.__name__ for event in get_args(port.Event)}
        case _, "whatsapp" if {"Ref": "EngineLayer"} in FUNCTIONS[source].get("Layers", []):
            found = {name for name in vars(port.Engine) if not name.startswith("_")}
        case "browser", _:
            found = routes(target)
        case _, "browser":
            found = statuses(source)
        case "workflow", _:
            found = {name for name in WORKFLOW if RESOURCE_OF[target] in function_of(name)}
        case _, "postgres":
            found = granted(role_of(source))
        case _, "workflow":
            found = {action.removeprefix("states:") for action in actions(source) if action.startswith("states:")}
        case _:
            variables = FUNCTIONS[source]["Environment"]["Variables"].values()
            found = {"Invoke"} if {"Ref": f"{RESOURCE_OF[target]}.Alias"} in variables else set()
    return found


def routes(function: str) -> set[str]:
    events = [event["Properties"] for event in FUNCTIONS[function].get("Events", {}).values()]
    return {f"{event['Method']} {event['Path']}" for event in events if "Path" in event}


def statuses(function: str) -> set[str]:
    """The statuses that the contract has for the calls of a function."""
    return {
        str(status)
        for route in routes(function)
        for status in PATHS[route.split()[1]].get(route.split()[0].lower(), {}).get("responses", {})
    }


def function_of(state: str) -> str:
    """The function that a state of the workflow calls, from the template. Empty if the state calls none."""
    named = re.fullmatch(r"\$\{(\w+)\}", WORKFLOW[state].get("Parameters", {}).get("FunctionName", ""))
    given = RESOURCES["PairingStateMachine"]["Properties"]["DefinitionSubstitutions"]
    return str(given[named[1]]) if named else ""


def role_of(function: str) -> str:
    """The database role of a function, by the name of its secret."""
    secret = FUNCTIONS[function]["Environment"]["Variables"]["DATABASE_SECRET_NAME"]
    return "whatsapp_" + str(secret["Fn::Sub"]).rpartition("/")[2]


def granted(role: str) -> set[str]:
    """The database functions that a role may call."""
    grant = re.compile(r"GRANT EXECUTE ON FUNCTION [^;]*?\bTO (?P<roles>[^;]+);", re.DOTALL)
    return {
        name
        for name, text in FILES.items()
        if any(role in re.split(r",\s*", found["roles"].strip()) for found in grant.finditer(text))
    }


def actions(function: str) -> set[str]:
    found: set[str] = set()
    for policy in FUNCTIONS[function].get("Policies", []):
        for statement in policy.get("Statement", []):
            action = statement["Action"]
            found |= {action} if isinstance(action, str) else set(action)
    return found


# ── the states of an attempt ──

ENDS = {"connected", "by_choice", "failed"}


def test_the_live_states_are_those_of_the_code() -> None:
    waits = {
        state["Parameters"]["Payload"]["phase"]: name
        for name, state in WORKFLOW.items()
        if "phase" in state.get("Parameters", {}).get("Payload", {})
    }
    assert set(Phase) == set(waits)
    assert {phase: ATTEMPT.names[phase] for phase in Phase} == {
        phase: f"phase {phase}, in {waits[phase]}" for phase in Phase
    }
    assert ATTEMPT.names.keys() - set(Phase) - ENDS == {"left_over"}
    assert "FUNCTION whatsapp_private.left_over(" in MIGRATED


def test_the_ends_are_all_outcomes() -> None:
    drawn = {end: ATTEMPT.names[end].partition(": ")[2].split(", ") for end in ("by_choice", "failed")}
    assert drawn["by_choice"] == [reason for reason in Reason if reason.by_choice]
    assert drawn["failed"] == [reason for reason in Reason if not reason.by_choice]
    assert ATTEMPT.names["connected"] == Result.CONNECTED
    assert {arrow.source for arrow in ATTEMPT.arrows if arrow.target == "[*]"} == ENDS


@pytest.mark.parametrize(
    ("targets", "change"),
    [
        ({"qr"}, r"INSERT INTO whatsapp_private\.attempts"),
        ({"auth"}, r"(?<![.\w])phase = "),
        ({"left_over"}, r"(?<![.\w])verdict = "),
        (ENDS, r"(?<![.\w])outcome = "),
    ],
)
def test_an_arrow_names_the_functions_that_change_the_state(targets: set[str], change: str) -> None:
    drawn = {
        name
        for arrow in ATTEMPT.arrows
        if arrow.target in targets and arrow.source != arrow.target
        for name in arrow.label.split(", ")
    }
    assert drawn == {name for name, text in FILES.items() if re.search(change, text)}


def test_only_connected_v1_leads_to_connected() -> None:
    for arrow in ATTEMPT.arrows:
        assert (arrow.target == "connected") == (arrow.label == "connected_v1")


def test_each_arrow_within_a_phase_is_a_database_function() -> None:
    stays = {name for arrow in ATTEMPT.arrows if arrow.source == arrow.target for name in arrow.label.split(", ")}
    assert stays <= FILES.keys()
    assert {"show_qr_v1", "scanned_v1", "refuse_v1"} <= stays
