"""Reads from an expanded template who may do what.

A grant is a pair of strings, action and resource. A denial, a NotAction or a condition is written into these strings,
so a table of grants shows it too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

Grant = tuple[str, str]

# The grants of AWS's managed policies that SAM attaches, by AWS's documentation.
LOGS = [("logs:CreateLogGroup", "*"), ("logs:CreateLogStream", "*"), ("logs:PutLogEvents", "*")]
XRAY = [
    ("xray:GetSamplingRules", "*"),
    ("xray:GetSamplingStatisticSummaries", "*"),
    ("xray:GetSamplingTargets", "*"),
    ("xray:PutTelemetryRecords", "*"),
    ("xray:PutTraceSegments", "*"),
]
MARKED = ' {"Condition": {"StringEquals": {"s3:ExistingObjectTag/UseWithCodeDeploy": "true"}}}'
CODE_DEPLOY = [
    ("cloudwatch:DescribeAlarms", "*"),
    ("lambda:GetAlias", "*"),
    ("lambda:GetProvisionedConcurrencyConfig", "*"),
    ("lambda:UpdateAlias", "*"),
    ("sns:Publish", "*"),
    ("s3:GetObject", "arn:aws:s3:::*/CodeDeploy/*"),
    ("s3:GetObjectVersion", "arn:aws:s3:::*/CodeDeploy/*"),
    (f"s3:GetObject{MARKED}", "*"),
    (f"s3:GetObjectVersion{MARKED}", "*"),
    ("lambda:InvokeFunction", "arn:aws:lambda:*:*:function:CodeDeployHook_*"),
]
AWS_MANAGED: dict[str, list[Grant]] = {
    "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole": LOGS,
    "arn:aws:iam::aws:policy/AWSXrayWriteOnlyAccess": XRAY,
    "arn:aws:iam::aws:policy/service-role/AWSCodeDeployRoleForLambda": CODE_DEPLOY,
}

_ALIAS = re.compile(r"(?<=Function)Aliaslive$")  # what SAM adds to a function's logical id
_HERE = re.compile(r"^arn:\$\{AWS::Partition\}:([a-z0-9-]+):\$\{AWS::Region\}:\$\{AWS::AccountId\}:")


def role_grants(resources: dict[str, Any], role: str) -> set[Grant]:
    """All grants of a role, from its own policies and the attached ones."""
    properties = resources[role]["Properties"]
    found: set[Grant] = set()
    for policy in _each(properties.get("Policies")):
        found |= policy_grants(policy["PolicyDocument"])
    for managed in _each(properties.get("ManagedPolicyArns")):
        name = shape(managed)
        if name in AWS_MANAGED:
            found |= set(AWS_MANAGED[name])
        elif isinstance(managed, dict) and managed.get("Ref") in resources:
            found |= policy_grants(resources[managed["Ref"]]["Properties"]["PolicyDocument"])
        else:
            found.add(("managed policy", name))
    return found


def policy_grants(document: dict[str, Any]) -> set[Grant]:
    """The grants of a policy document."""
    found: set[Grant] = set()
    for statement in _each(document["Statement"]):
        said = dict(statement)
        effect = "" if said.pop("Effect") == "Allow" else "deny "
        said.pop("Sid", None)
        actions = [*_each(said.pop("Action", None)), *(f"not {one}" for one in _each(said.pop("NotAction", None)))]
        objects = [shape(one) for one in _each(said.pop("Resource", None))]
        objects += [f"not {shape(one)}" for one in _each(said.pop("NotResource", None))]
        rest = f" {json.dumps(said)}" if said else ""
        found |= {(f"{effect}{action}{rest}", one) for action in actions for one in objects}
    return found


def trusted(role: dict[str, Any]) -> list[Any]:
    """The services that may assume the role."""
    return [statement.get("Principal") for statement in _each(role["AssumeRolePolicyDocument"]["Statement"])]


def roles_used(value: Any) -> Iterator[str]:
    """The roles that a resource names, in any property."""
    if isinstance(value, list):
        for one in value:
            yield from roles_used(one)
    elif isinstance(value, dict):
        for name, one in value.items():
            if name.lower().endswith(("role", "rolearn", "credentials")):
                yield shape(one)
            else:
                yield from roles_used(one)


def shape(value: Any) -> str:
    """A value as text, with references as ``${Name}``, and as ``${Name:live}`` for a function's alias.

    An ARN of this account and region is shortened to its service.

    >>> shape({"Fn::Sub": "arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:${Queue}"})
    'sqs:${Queue}'
    """
    return _HERE.sub(r"\1:", _text(value))


def _text(value: Any) -> str:
    match value:
        case str():
            return value
        case {"Ref": str(name)}:
            return f"${{{_ALIAS.sub(':live', name)}}}"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"${{{name}.{attribute}}}"
        case {"Fn::Sub": str(text)}:
            return text
        case {"Fn::Sub": [text, values]}:
            for name, one in values.items():
                text = text.replace(f"${{{name}}}", _text(one))
            return str(text)
    return json.dumps(value)


def _each(value: Any) -> Iterator[Any]:
    """The items of a list, the single value, or both sides of a condition."""
    if isinstance(value, list):
        for one in value:
            yield from _each(one)
    elif isinstance(value, dict) and "Fn::If" in value:
        yield from _each(value["Fn::If"][1:])
    elif value not in (None, {"Ref": "AWS::NoValue"}):
        yield value
