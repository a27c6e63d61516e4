"""The API's functions deploy gradually, alarms take a deployment back, and CloudFormation sees no circle."""

from __future__ import annotations

from typing import Any

import pytest

from infra.template.intrinsics import load_yaml
from tests.support.circles import circle
from tests.support.nested import ALARMS
from tests.tools.template.conftest import Expand, Template
from tests.tools.template.template_edits import Change, add, put

API = ("Authorizer", "Connect", "Status", "Disconnect", "Page")
ALARMS_OF_ALL = [{"Name": {"Ref": f"{name}ErrorsAlarm"}} for name in API]


def groups(cloudformation: Template) -> dict[str, dict[str, Any]]:
    """Return the properties of each deployment group."""
    return {
        name: one["Properties"]
        for name, one in cloudformation["Resources"].items()
        if one["Type"] == "AWS::CodeDeploy::DeploymentGroup"
    }


# ── circles ──


@pytest.mark.parametrize("parameters", [{}, {"GradualDeployment": "AllAtOnce", "SnapStart": "PublishedVersions"}])
def test_the_transformed_template_has_no_circle(template: Template, expand: Expand, parameters: dict[str, str]) -> None:
    assert circle(expand(template, **parameters)) == []


@pytest.mark.parametrize(
    ("change", "through"),
    [
        pytest.param(
            put("ConnectErrorsAlarm", "Dimensions", value=[{"Name": "ApiId", "Value": {"Ref": "HttpApi"}}]),
            {"ConnectErrorsAlarm", "HttpApi"},
            id="an alarm on the API",
        ),
        pytest.param(
            put(
                "StatusFunction", "DeploymentPreference", "Alarms",
                value=[{"Fn::GetAtt": ["Alarms", "Outputs.ApiErrorsAlarm"]}],
            ),
            {"Alarms", "HttpApi"},
            id="an alarm of the nested stack",
        ),
        pytest.param(
            put("DisconnectFunction", "Policies", 1, "Statement", 0, "Resource", value={"Ref": "PairingStateMachine"}),
            set(),
            id="no circle: the workflow does not need disconnect",
        ),
        pytest.param(
            put("LinkerFunction", "Policies", 2, "Statement", 0, "Resource", value={"Ref": "PairingStateMachine"}),
            {"LinkerFunction", "PairingStateMachine"},
            id="the workflow and its linker",
        ),
        pytest.param(
            add("Extra", "AWS::SQS::Queue", QueueName={"Fn::Sub": "${Extra.Arn}"}), {"Extra"}, id="a resource itself"
        ),
    ],
)  # fmt: skip
def test_a_circle_is_noticed(template: Template, expand: Expand, change: Change, through: set[str]) -> None:
    change(template)
    assert through <= set(circle(expand(template)))
    assert bool(circle(expand(template))) == bool(through)


def test_a_dependency_by_name_is_noticed(template: Template, expand: Expand) -> None:
    cloudformation = expand(template)
    cloudformation["Resources"]["StatusErrorsAlarm"]["DependsOn"] = ["HttpApi"]
    assert {"StatusErrorsAlarm", "HttpApi"} <= set(circle(cloudformation))


# ── the deployment ──


def test_each_function_of_the_api_has_its_own_alarm(template: Template, expand: Expand) -> None:
    resources = expand(template)["Resources"]
    for name in API:
        alarm = resources[f"{name}ErrorsAlarm"]["Properties"]
        assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Lambda", "Errors"), name
        assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": {"Ref": f"{name}Function"}}], name


def test_exactly_the_functions_of_the_api_deploy_gradually(template: Template, expand: Expand) -> None:
    cloudformation = expand(template)
    assert set(groups(cloudformation)) == {f"{name}FunctionDeploymentGroup" for name in API}
    for name, group in groups(cloudformation).items():
        assert group["AlarmConfiguration"] == {"Fn::If": ["Gradual", {"Enabled": True, "Alarms": ALARMS_OF_ALL}, {}]}
        assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"], name
        assert group["DeploymentConfigName"]["Fn::Sub"][1] == {"ConfigName": "Canary10Percent5Minutes"}, name
    aliases = {name for name, one in cloudformation["Resources"].items() if "UpdatePolicy" in one}
    assert aliases == {f"{name}FunctionAliaslive" for name in API}


def test_all_at_once_waits_for_no_alarm(template: Template, expand: Expand) -> None:
    cloudformation = expand(template, GradualDeployment="AllAtOnce")
    for group in groups(cloudformation).values():
        assert group["DeploymentConfigName"]["Fn::Sub"][1] == {"ConfigName": "AllAtOnce"}
    gradual = cloudformation["Conditions"]["Gradual"]
    assert gradual == {"Fn::Not": [{"Fn::Equals": [{"Ref": "GradualDeployment"}, "AllAtOnce"]}]}


def test_sam_knows_each_way_of_deploying(template: Template, expand: Expand) -> None:
    """SAM passes an unknown name on as it is, and CodeDeploy would refuse it in the deployment."""
    for value in template["Parameters"]["GradualDeployment"]["AllowedValues"]:
        for group in groups(expand(template, GradualDeployment=value)).values():
            assert group["DeploymentConfigName"]["Fn::Sub"][1] == {"ConfigName": value}


def test_the_dashboards_stack_gets_the_names_of_the_alarms(template: Template) -> None:
    given = template["Resources"]["Alarms"]["Properties"]["Parameters"]
    for name in API:
        assert given[f"{name}ErrorsAlarm"] == {"Ref": f"{name}ErrorsAlarm"}
        assert f"{name}ErrorsAlarm" in load_yaml(ALARMS.read_text())["Parameters"]


# ── SnapStart ──


def test_three_functions_start_from_a_snapshot_when_asked(template: Template, expand: Expand) -> None:
    resources = expand(template, SnapStart="PublishedVersions")["Resources"]
    functions = {name: one["Properties"] for name, one in resources.items() if one["Type"] == "AWS::Lambda::Function"}
    asked = {name: one["SnapStart"] for name, one in functions.items() if "SnapStart" in one}
    started = ("AuthorizerFunction", "ConnectFunction", "StatusFunction")
    assert asked == {name: {"ApplyOn": {"Ref": "SnapStart"}} for name in started}
    assert template["Parameters"]["SnapStart"]["Default"] == "None"
