"""Least privilege: the complete list of rights. A template that grants more, or less, fails."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tools.template.conftest import Expand, Template
from tests.tools.template.grants import policy_grants, role_grants, roles_used, shape, trusted
from tests.tools.template.rights import CALLERS, INVOKE, NO_FINER_RESOURCE, OWN_POLICIES, ROLES
from tests.tools.template.template_edits import Change, add, drop, grant, instead, put, statement


def complaints(cloudformation: Template) -> list[str]:
    """The differences between an expanded template and the tables above."""
    resources = cloudformation["Resources"]
    of_type = {
        kind: {name for name, resource in resources.items() if resource["Type"] == kind}
        for kind in {resource["Type"] for resource in resources.values()}
    }
    said = _difference("role", of_type["AWS::IAM::Role"], set(ROLES))
    for role in sorted(of_type["AWS::IAM::Role"] & set(ROLES)):
        service, expected = ROLES[role]
        said += _difference(role, role_grants(resources, role), expected)
        who = trusted(resources[role]["Properties"])
        if who != [{"Service": [f"{service}.amazonaws.com"]}]:
            said.append(f"{role}: may be taken on by {who}")
    for name, resource in resources.items():
        own = "CodeDeployServiceRole" if resource["Type"] == "AWS::CodeDeploy::DeploymentGroup" else f"{name}Role"
        said += [f"{name}: runs as {role}" for role in roles_used(resource) if role != f"${{{own}.Arn}}"]
    said += _difference("caller", {_caller(resources[name]) for name in of_type["AWS::Lambda::Permission"]}, CALLERS)
    said += _difference("policy", of_type["AWS::IAM::ManagedPolicy"], OWN_POLICIES)
    for name in OWN_POLICIES & of_type["AWS::IAM::ManagedPolicy"]:
        properties = resources[name]["Properties"]
        allowed = [grant for grant in policy_grants(properties["PolicyDocument"]) if not grant[0].startswith("deny ")]
        if allowed or set(properties) != {"PolicyDocument"}:
            said.append(f"{name}: is more than a denial")
    known = {"AWS::IAM::Role", "AWS::IAM::ManagedPolicy", "AWS::Lambda::Permission"}
    for kind in sorted(set(of_type) - known):
        if kind.startswith("AWS::IAM::") or kind.endswith(("Policy", "Permission", "Url")):
            said.append(f"{kind}: no table holds what it grants")
    return said


def _difference(what: str, found: set[Any], expected: set[Any]) -> list[str]:
    return [f"{what}: {one} is new" for one in sorted(found - expected)] + [
        f"{what}: {one} is missing" for one in sorted(expected - found)
    ]


def _caller(permission: dict[str, Any]) -> tuple[str, str, str]:
    properties = permission["Properties"]
    function = shape(properties["FunctionName"]).strip("${}").removesuffix(".Arn")
    source = shape(properties.get("SourceArn", "anywhere"))
    return (function, shape(properties["Principal"]), source)


def test_each_role_may_do_exactly_what_the_tables_say(template: Template, expand: Expand) -> None:
    assert complaints(expand(template)) == []


def test_every_star_in_a_policy_has_a_reason() -> None:
    every = [grant for _, grants in ROLES.values() for grant in grants if not grant[0].startswith("deny ")]
    assert [action for action, _ in every if "*" in action or "?" in action] == []
    assert {action for action, resource in every if resource == "*"} == set(NO_FINER_RESOURCE)


def test_no_role_may_write_traces_without_tracing(template: Template, expand: Expand) -> None:
    resources = expand(template, Tracing="Disabled")["Resources"]
    functions = [role for role, (service, _) in ROLES.items() if service == "lambda"]
    assert [grant for role in functions for grant in role_grants(resources, role) if "xray" in grant[0]] == []
    conditional = resources["PairingStateMachineRole"]["Properties"]["Policies"][-1]["Fn::If"]
    assert conditional[0] == "Traces"
    assert conditional[2] == {"Ref": "AWS::NoValue"}
    for policy in resources["PairingStateMachineRole"]["Properties"]["Policies"][:-1]:
        assert "xray" not in str(policy)


SECRET_OF_OTHERS = "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:other-??????"
ANOTHER_MACHINE = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:stateMachine:*"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        pytest.param(
            grant("StatusFunction", statement("states:*", {"Fn::GetAtt": ["PairingStateMachine", "Arn"]})),
            "StatusFunctionRole: ('states:*', '${PairingStateMachine.Arn}') is new",
            id="an action with a star",
        ),
        pytest.param(
            put("ConnectFunction", "Policies", 1, "Statement", 0, "Resource", value="*"),
            "ConnectFunctionRole: ('states:StartExecution', '*') is new",
            id="a resource that is a star",
        ),
        pytest.param(
            put("LinkerFunction", "Policies", 2, "Statement", 0, "Resource", value={"Fn::Sub": ANOTHER_MACHINE}),
            "LinkerFunctionRole: ('states:SendTaskFailure', 'states:stateMachine:*') is new",
            id="tokens of other state machines",
        ),
        pytest.param(
            grant("PageFunction", "AmazonSSMReadOnlyAccess"),
            "PageFunctionRole: ('managed policy', 'arn:aws:iam::aws:policy/AmazonSSMReadOnlyAccess') is new",
            id="one more managed policy",
        ),
        pytest.param(
            put("PairingStateMachine", "Policies", value=["AWSLambda_FullAccess"]),
            "PairingStateMachineRole: ('managed policy', 'arn:aws:iam::aws:policy/AWSLambda_FullAccess') is new",
            id="a managed policy for the workflow",
        ),
        pytest.param(
            grant(
                "StatusFunction",
                {"AWSSecretsManagerGetSecretValuePolicy": {"SecretArn": {"Fn::Sub": SECRET_OF_OTHERS}}},
            ),
            "StatusFunctionRole: ('secretsmanager:GetSecretValue', 'secretsmanager:secret:other-??????') is new",
            id="a secret of another name",
        ),
        pytest.param(
            grant("StatusFunction", statement(INVOKE, {"Fn::GetAtt": ["LinkerFunction", "Arn"]})),
            "StatusFunctionRole: ('lambda:InvokeFunction', '${LinkerFunction.Arn}') is new",
            id="another function's permission to call",
        ),
        pytest.param(
            grant("CleanupFunction", {"LambdaInvokePolicy": {"FunctionName": {"Ref": "UnlinkFunction"}}}),
            "CleanupFunctionRole: ('lambda:InvokeFunction', 'lambda:function:${UnlinkFunction}*') is new",
            id="SAM's wider policy for calling",
        ),
        pytest.param(
            grant(
                "PageFunction",
                {"Statement": [{"Effect": "Allow", "NotAction": "iam:*", "Resource": {"Ref": "FunctionLogs"}}]},
            ),
            "PageFunctionRole: ('not iam:*', '${FunctionLogs}') is new",
            id="everything but",
        ),
        pytest.param(
            put("UnlinkFunction", "DeadLetterQueue", "TargetArn", value="*"),
            "UnlinkFunctionRole: ('sqs:SendMessage', '*') is new",
            id="dead letters to any queue",
        ),
        pytest.param(
            drop("StatusFunction", {"Ref": "OwnLogsOnly"}),
            "StatusFunctionRole: ('deny logs:CreateLogGroup', '*') is missing",
            id="the denial of other logs taken away",
        ),
        pytest.param(
            put("OwnLogsOnly", "PolicyDocument", "Statement", 1, "NotResource", value="*"),
            "('deny logs:PutLogEvents', 'not *') is new",
            id="the denial of other logs emptied",
        ),
        pytest.param(
            put("OwnLogsOnly", "PolicyDocument", "Statement", 0, "Effect", value="Allow"),
            "OwnLogsOnly: is more than a denial",
            id="the denial turned into a permission",
        ),
        pytest.param(
            put("OwnLogsOnly", "Users", value=["somebody"]),
            "OwnLogsOnly: is more than a denial",
            id="a policy attached to a user",
        ),
        pytest.param(
            put("StatusFunction", "Role", value="arn:aws:iam::123456789012:role/administrator"),
            "StatusFunction: runs as arn:aws:iam::123456789012:role/administrator",
            id="a role from elsewhere",
        ),
        pytest.param(
            put("StatusFunction", "Role", value={"Fn::GetAtt": ["LinkerFunctionRole", "Arn"]}),
            "StatusFunction: runs as ${LinkerFunctionRole.Arn}",
            id="another function's role",
        ),
        pytest.param(
            instead("PairingStateMachine", "Policies", "Role", "arn:aws:iam::123456789012:role/administrator"),
            "PairingStateMachine: runs as arn:aws:iam::123456789012:role/administrator",
            id="a workflow with a role from elsewhere",
        ),
        pytest.param(
            put("CleanupFunction", "Events", "Every5Minutes", "Properties", "RoleArn", value="arn:aws:iam::1:role/any"),
            "CleanupFunctionEvery5Minutes: runs as arn:aws:iam::1:role/any",
            id="a schedule with a role from elsewhere",
        ),
        pytest.param(
            put(
                "StatusFunction",
                "AssumeRolePolicyDocument",
                value={"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}]},
            ),
            "StatusFunctionRole: may be taken on by [{'AWS': '*'}]",
            id="a role that anybody takes on",
        ),
        pytest.param(
            add("Extra", "AWS::IAM::Policy", PolicyDocument=statement("s3:GetObject", "*"), PolicyName="extra"),
            "AWS::IAM::Policy: no table holds what it grants",
            id="a policy beside the functions",
        ),
        pytest.param(
            add("Extra", "AWS::SQS::QueuePolicy", Queues=[{"Ref": "UnlinkDeadLetters"}]),
            "AWS::SQS::QueuePolicy: no table holds what it grants",
            id="a policy of a queue",
        ),
        pytest.param(
            put("UnlinkFunction", "FunctionUrlConfig", value={"AuthType": "NONE"}),
            "AWS::Lambda::Url: no table holds what it grants",
            id="a URL of a function",
        ),
        pytest.param(
            add(
                "Extra",
                "AWS::Lambda::Permission",
                Action=INVOKE,
                FunctionName={"Ref": "UnlinkFunction"},
                Principal="*",
            ),
            "caller: ('UnlinkFunction', '*', 'anywhere') is new",
            id="a function that anybody calls",
        ),
        pytest.param(
            put(
                "CleanupFunction",
                "Events",
                "Api",
                value={
                    "Type": "HttpApi",
                    "Properties": {"ApiId": {"Ref": "HttpApi"}, "Method": "GET", "Path": "/cleanup"},
                },
            ),
            "('CleanupFunction:live', 'apigateway.amazonaws.com', 'execute-api:${HttpApi}/*/GET/cleanup') is new",
            id="a route to an inner function",
        ),
    ],
)
def test_a_widened_template_is_noticed(template: Template, expand: Expand, change: Change, complaint: str) -> None:
    change(template)
    assert complaint in "\n".join(complaints(expand(template)))
