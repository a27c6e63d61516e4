"""Every change that a function sees publishes a version, and every caller uses the alias."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.tools.template.conftest import Expand, Template
from tests.tools.template.template_edits import Change, put

FUNCTIONS = {
    "AuthorizerFunction", "ConnectFunction", "StatusFunction", "DisconnectFunction", "PageFunction",
    "OpenPhaseFunction", "SettlePhaseFunction", "LinkerFunction", "UnlinkFunction", "CleanupFunction",
    "ProbeFunction",
}  # fmt: skip
ENGINES = {"LinkerFunction", "UnlinkFunction", "ProbeFunction"}

# Properties of a function whose value belongs to the function and not to its versions.
OF_THE_FUNCTION = {"ReservedConcurrentExecutions", "Tags"}


def versions(cloudformation: Template) -> dict[str, str]:
    """Return the logical id of each function's version. CloudFormation publishes a version for each new id."""
    return {
        one["Properties"]["FunctionName"]["Ref"]: name
        for name, one in cloudformation["Resources"].items()
        if one["Type"] == "AWS::Lambda::Version"
    }


def published(template: Template, expand: Expand, change: Change | None = None) -> set[str]:
    """Return the functions that get a new version by a change of the template."""
    before = versions(expand(template))
    if change is not None:
        change(template)
    after = versions(expand(template))
    assert set(before) == set(after) == FUNCTIONS
    return {name for name, version in after.items() if version != before[name]}


def test_a_deployment_without_a_change_publishes_nothing(template: Template, expand: Expand) -> None:
    assert published(template, expand) == set()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(put("SharedLayer", "ContentUri", value="s3://bucket/new"), FUNCTIONS, id="shared layer"),
        pytest.param(put("EngineLayer", "ContentUri", value="s3://bucket/new"), ENGINES, id="engine layer"),
        pytest.param(put("StatusFunction", "CodeUri", value="s3://bucket/new"), {"StatusFunction"}, id="code"),
        pytest.param(put("LinkerFunction", "Timeout", value=430), {"LinkerFunction"}, id="timeout"),
    ],
)
def test_a_change_publishes_a_version(template: Template, expand: Expand, change: Change, expected: set[str]) -> None:
    assert published(template, expand, change) == expected


def test_a_layer_alone_publishes_nothing_without_its_property(template: Template, expand: Expand) -> None:
    """SAM forgets the layers otherwise, so this test says when the property may go."""
    del template["Resources"]["SharedLayer"]["Properties"]["PublishLambdaVersion"]
    assert published(template, expand, put("SharedLayer", "ContentUri", value="s3://bucket/new")) == set()


# ── a new value of a parameter ──


def named(value: Any, conditions: Template) -> Iterator[str]:
    """Yield every name that a value refers to, also through conditions."""
    if isinstance(value, list):
        for one in value:
            yield from named(one, conditions)
    elif isinstance(value, dict):
        for key, one in value.items():
            if key == "Ref":
                yield one
            elif key == "Fn::Sub":
                yield from re.findall(r"\$\{([\w:]+)", json.dumps(one))
                yield from named(one, conditions)
            elif key in ("Fn::If", "Condition"):
                condition = one if key == "Condition" else one[0]
                yield from named(conditions.get(condition), conditions)
                yield from named(one, conditions)
            else:
                yield from named(one, conditions)


def forgotten(cloudformation: Template) -> set[str]:
    """Return the parameters that a function's version depends on, and that the record of settings does not hold."""
    resources, conditions = cloudformation["Resources"], cloudformation["Conditions"]
    functions = [one["Properties"] for one in resources.values() if one["Type"] == "AWS::Lambda::Function"]
    read = [value for one in functions for name, value in one.items() if name not in OF_THE_FUNCTION]
    recorded = set(named(resources["SettingsRecord"]["Properties"]["Definition"], conditions))
    return (set(named(read, conditions)) & set(cloudformation["Parameters"])) - recorded


def test_a_new_value_of_a_parameter_alone_changes_no_id(template: Template, expand: Expand) -> None:
    """This is why SettingsRecord exists: SAM does not look at the values of parameters."""
    before = versions(expand(json.loads(json.dumps(template))))
    assert versions(expand(template, SupabaseUrl="https://other.supabase.co", MaxLivePairings="9")) == before


def test_the_record_holds_each_parameter_that_functions_read(template: Template, expand: Expand) -> None:
    assert forgotten(expand(template)) == set()


def test_a_parameter_that_the_record_lacks_is_noticed(template: Template, expand: Expand) -> None:
    settings = template["Resources"]["SettingsRecord"]["Properties"]["Definition"]["States"]["Settings"]["Result"]
    del settings["AcceptedIssuers"]
    assert forgotten(expand(template)) == {"AcceptedIssuers"}


def test_the_revision_is_in_each_function_and_its_version(template: Template, expand: Expand) -> None:
    """Lambda publishes a version only if the function has changed, and CloudFormation only if its description has."""
    resources = expand(template)["Resources"]
    revision = {"Fn::Sub": "settings ${SettingsRecord.StateMachineRevisionId}"}
    for function, version in versions({"Resources": resources}).items():
        assert resources[version]["Properties"]["Description"] == revision, function
        assert resources[function]["Properties"]["Environment"]["Variables"]["SETTINGS"] == revision, function


def test_a_version_outlives_the_next_one(template: Template, expand: Expand) -> None:
    """A new id deletes the old version, and a new description replaces it. Each has a policy of its own."""
    resources = expand(template)["Resources"]
    kept = {(one.get("DeletionPolicy"), one.get("UpdateReplacePolicy")) for _, one in of_versions(resources)}
    assert kept == {("Retain", "Retain")}


def of_versions(resources: Template) -> list[tuple[str, Any]]:
    """Return the versions of all functions."""
    return [(name, one) for name, one in resources.items() if one["Type"] == "AWS::Lambda::Version"]


# ── the alias ──


def unqualified(cloudformation: Template) -> list[str]:
    """Return where a resource names a function instead of its alias, as a caller would."""
    found = []
    for name, one in cloudformation["Resources"].items():
        if one["Type"] in BESIDE_CALLS:
            continue
        text = json.dumps(one)
        found += [f"{name}: {ref or att or sub}" for ref, att, sub in re.findall(FUNCTION_NAMED, text)]
    return found


# These types describe a function, its versions or its alarms. They do not call it.
BESIDE_CALLS = {
    "AWS::Lambda::Version", "AWS::Lambda::Alias", "AWS::Lambda::EventInvokeConfig", "AWS::CloudWatch::Alarm",
    "AWS::CloudFormation::Stack",
}  # fmt: skip
FUNCTION_NAMED = re.compile(
    r'"Ref": "(\w+Function)"|"Fn::GetAtt": \["(\w+Function)", "Arn"\]|\$\{(\w+Function)(?:\.Arn)?\}'
)


def test_every_caller_uses_the_alias(template: Template, expand: Expand) -> None:
    assert unqualified(expand(template)) == []


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (
            put("CleanupFunction", "Environment", "Variables", "UNLINK_FUNCTION", value={"Ref": "UnlinkFunction"}),
            "CleanupFunction: UnlinkFunction",
        ),
        (
            put(
                "PairingStateMachine", "DefinitionSubstitutions", "OpenPhaseFunctionArn",
                value={"Fn::GetAtt": ["OpenPhaseFunction", "Arn"]},
            ),
            "PairingStateMachine: OpenPhaseFunction",
        ),
        (
            put(
                "HttpApi", "Auth", "Authorizers", "SupabaseToken", "FunctionArn",
                value={"Fn::GetAtt": ["AuthorizerFunction", "Arn"]},
            ),
            "HttpApi: AuthorizerFunction",
        ),
    ],
)  # fmt: skip
def test_a_call_past_the_alias_is_noticed(template: Template, expand: Expand, change: Change, where: str) -> None:
    change(template)
    assert where in unqualified(expand(template))


def test_retries_of_events_belong_to_the_alias(template: Template, expand: Expand) -> None:
    configs = {
        name: one["Properties"]["Qualifier"]
        for name, one in expand(template)["Resources"].items()
        if one["Type"] == "AWS::Lambda::EventInvokeConfig"
    }
    assert configs == {f"{name}EventInvokeConfig": "live" for name in ENGINES}
