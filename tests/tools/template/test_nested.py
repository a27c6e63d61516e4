"""The nested template has only alarms and a dashboard. Every tool that reads template.yaml sees every function."""

from __future__ import annotations

import json
import subprocess

from infra.template.intrinsics import load_yaml
from infra.template.reading import read_template
from tests.support.nested import ALARMS, joined, reference
from tests.support.other_environments import tool
from tests.support.stack import ROOT
from tests.tools.template.conftest import Expand, Template

FUNCTIONS = {
    "AuthorizerFunction", "ConnectFunction", "StatusFunction", "DisconnectFunction", "PageFunction",
    "OpenPhaseFunction", "SettlePhaseFunction", "LinkerFunction", "UnlinkFunction", "CleanupFunction",
    "ProbeFunction",
}  # fmt: skip

# Prints the stacks and functions that `sam build` finds, with the nested ones.
FOUND_BY_SAM = """
import json, sys
from samcli.lib.providers.sam_function_provider import SamFunctionProvider
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider
stacks, remote = SamLocalStackProvider.get_stacks(sys.argv[1])
functions = [function.full_path for function in SamFunctionProvider(stacks).get_all()]
print(json.dumps([[stack.stack_path for stack in stacks], functions, remote]))
"""


def test_the_local_runner_sees_every_function() -> None:
    supplied = {"SupabaseUrl": "https://abcd.supabase.co", "AllowedOrigins": "https://app.example.com"}
    assert set(read_template(ROOT / "template.yaml", {}, supplied).functions) == FUNCTIONS


def test_sam_build_sees_every_function_and_the_nested_template() -> None:
    command = [tool(".venv-sam", "python"), "-c", FOUND_BY_SAM, ROOT / "template.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    stacks, functions, remote = json.loads(done.stdout)
    assert (stacks, remote) == (["", "Alarms"], [])
    assert set(functions) == FUNCTIONS


def test_cloudformation_gets_every_function(template: Template, expand: Expand) -> None:
    resources = expand(template)["Resources"]
    assert {name for name, one in resources.items() if one["Type"] == "AWS::Lambda::Function"} == FUNCTIONS


def test_the_nested_template_has_alarms_and_a_dashboard_only() -> None:
    nested = load_yaml(ALARMS.read_text())["Resources"].values()
    assert {one["Type"] for one in nested} == {"AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard"}


def test_each_resource_is_passed_under_its_own_name(template: Template) -> None:
    nested = template["Resources"]["Alarms"]["Properties"]
    assert ROOT / nested["TemplateURL"] == ALARMS
    given = {name: reference(value) for name, value in nested["Parameters"].items()}
    assert set(given) == set(load_yaml(ALARMS.read_text())["Parameters"])
    queues = {f"{name}DeadLetters": f"${{{name}DeadLetters.QueueName}}" for name in ("Unlink", "Linker")}
    assert given == {name: f"${{{name}}}" for name in given} | queues | {"Service": "${AWS::StackName}"}


def test_the_dashboard_has_another_name_than_before() -> None:
    """CloudFormation creates this dashboard before it deletes the earlier one in the main stack."""
    name = joined()["Resources"]["Dashboard"]["Properties"]["DashboardName"]
    assert name == {"Fn::Sub": "${AWS::StackName}-overview"}


def test_no_alarm_has_a_name_of_its_own() -> None:
    for name, one in load_yaml(ALARMS.read_text())["Resources"].items():
        assert "AlarmName" not in one["Properties"], name
