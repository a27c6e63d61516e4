"""Settings for logs, dead letters, retries and throttling."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from infra.template import resources as local
from infra.template.reading import read_template
from tests.support.stack import ROOT
from tests.tools.template.conftest import Expand, Template
from tests.tools.template.grants import shape
from tests.tools.template.template_edits import Change, both, put, without

Resources = dict[str, Any]

NEEDED = {"SupabaseUrl": "https://abcd.supabase.co", "AllowedOrigins": "https://app.example.com"}
# With any of these variables, Powertools logs whole events, which contain tokens, or messages of its own.
TALKATIVE = {"POWERTOOLS_LOGGER_LOG_EVENT", "POWERTOOLS_DEBUG", "POWERTOOLS_DEV"}
FOURTEEN_DAYS = 14 * 24 * 3600

# Asynchronous functions: retries, how many seconds an event may wait, and the queue for events that failed.
ASYNCHRONOUS = {
    "LinkerFunction": (0, 120, "LinkerDeadLetters"),
    "UnlinkFunction": (2, 3600, "UnlinkDeadLetters"),
}

# The fields of an access log. Headers, path, query and IP address are left out.
LOGGED = {
    "$context.authorizer.userId",
    "$context.error.responseType",
    "$context.integrationErrorMessage",
    "$context.integrationLatency",
    "$context.requestId",
    "$context.requestTime",
    "$context.responseLatency",
    "$context.responseLength",
    "$context.routeKey",
    "$context.status",
}


def log_groups(resources: Resources) -> Iterator[str]:
    """Every log group has the parameters' retention and is used: one by all functions, the others by one resource."""
    used = [group for one in resources.values() for group in _groups_of(one["Properties"])]
    functions = len(of_type(resources, "AWS::Lambda::Function"))
    for name, group in of_type(resources, "AWS::Logs::LogGroup"):
        if "${AWS::StackName}" not in shape(group["LogGroupName"]):
            yield f"{name}: one stack per account"
        if group.get("RetentionInDays") != {"Ref": "LogRetentionDays"}:
            yield f"{name}: no retention by parameter"
        if group.get("KmsKeyId") != {"Fn::If": ["HasLogKey", {"Ref": "LogKmsKeyArn"}, {"Ref": "AWS::NoValue"}]}:
            yield f"{name}: no key by parameter"
        if used.count(name) != (functions if name == "FunctionLogs" else 1):
            yield f"{name}: used {used.count(name)} times"


def functions(resources: Resources) -> Iterator[str]:
    """Every function logs what it prints, without events, into the group that OwnLogsOnly allows."""
    allowed = resources["OwnLogsOnly"]["Properties"]["PolicyDocument"]["Statement"][1]["NotResource"]
    for name, function in of_type(resources, "AWS::Lambda::Function"):
        logging = function.get("LoggingConfig", {})
        (group,) = _groups_of(function) or [""]
        if shape(allowed) != f"${{{group}.Arn}}":
            yield f"{name}: may not write to its log group"
        if logging.get("LogFormat") != "Text":
            yield f"{name}: its lines are not logged as it prints them"
        environment = function.get("Environment", {}).get("Variables", {})
        if environment.get("POWERTOOLS_LOG_LEVEL") != "INFO" or TALKATIVE & set(environment):
            yield f"{name}: logs more than it should"
        if function.get("TracingConfig") != {"Mode": {"Ref": "Tracing"}}:
            yield f"{name}: no tracing by parameter"


def workflow(resources: Resources) -> Iterator[str]:
    """The workflow logs, but no data."""
    for name, machine in of_type(resources, "AWS::StepFunctions::StateMachine"):
        if name == "SettingsRecord":  # it never runs
            continue
        logging = machine.get("LoggingConfiguration", {})
        if logging.get("IncludeExecutionData") is not False or logging.get("Level") not in ("ERROR", "ALL"):
            yield f"{name}: logs execution data, or nothing"
        if machine.get("TracingConfiguration") != {"Enabled": {"Fn::If": ["Traces", True, False]}}:
            yield f"{name}: no tracing by parameter"


def api(resources: Resources) -> Iterator[str]:
    """The API has limits, and an access log with the allowed fields only."""
    limits = {"ThrottlingBurstLimit": {"Ref": "ApiBurst"}, "ThrottlingRateLimit": {"Ref": "ApiRate"}}
    of_connect = {"ThrottlingBurstLimit": {"Ref": "ConnectBurst"}, "ThrottlingRateLimit": {"Ref": "ConnectRate"}}
    of_files = {"ThrottlingBurstLimit": 500, "ThrottlingRateLimit": 200}
    of_routes = {"POST /api/whatsapp/connect": of_connect, "GET /home/settings/whatsapp/{proxy+}": of_files}
    for name, stage in of_type(resources, "AWS::ApiGatewayV2::Stage"):
        logged = set(json.loads(stage.get("AccessLogSettings", {}).get("Format", "{}")).values())
        if logged != LOGGED:
            yield f"{name}: access log: {sorted(logged ^ LOGGED)}"
        if stage.get("DefaultRouteSettings") != limits or stage.get("RouteSettings") != of_routes:
            yield f"{name}: other limits than the parameters"


def authorizers(resources: Resources) -> Iterator[str]:
    """API Gateway keeps no answer of the authorizer, because a refused token may be valid a moment later."""
    for name, described in of_type(resources, "AWS::ApiGatewayV2::Api"):
        for scheme, one in described["Body"]["components"]["securitySchemes"].items():
            authorizer = one["x-amazon-apigateway-authorizer"]
            if authorizer.get("authorizerResultTtlInSeconds") != 0:
                yield f"{name}: {scheme}: its answers are kept"
            if authorizer.get("identitySource") != []:
                yield f"{name}: {scheme}: API Gateway answers some requests by itself"


def dead_letters(resources: Resources) -> Iterator[str]:
    """Events that Lambda gives up are kept for 14 days, encrypted, and without the stack trace of an error."""
    for name, queue in of_type(resources, "AWS::SQS::Queue"):
        if queue.get("SqsManagedSseEnabled") is not True:
            yield f"{name}: not encrypted"
        if queue.get("MessageRetentionPeriod") != FOURTEEN_DAYS:
            yield f"{name}: not kept for 14 days"
    for name, (retries, seconds, queue_name) in ASYNCHRONOUS.items():
        config = resources[f"{name}EventInvokeConfig"]["Properties"]
        if (config.get("MaximumRetryAttempts"), config.get("MaximumEventAgeInSeconds")) != (retries, seconds):
            yield f"{name}: other retries"
        if config.get("DestinationConfig"):
            yield f"{name}: a destination gets the stack trace of an error"
        if (
            shape(resources[name]["Properties"].get("DeadLetterConfig", {}).get("TargetArn"))
            != f"${{{queue_name}.Arn}}"
        ):
            yield f"{name}: no dead letters of its own"


def schedules(resources: Resources) -> Iterator[str]:
    """No schedule has a fixed name, which a second stack could not use."""
    for name, schedule in of_type(resources, "AWS::Scheduler::Schedule"):
        if "Name" in schedule:
            yield f"{name}: one stack per account"


def complaints(cloudformation: Template) -> list[str]:
    """The faults of an expanded template."""
    checks = (log_groups, functions, workflow, api, authorizers, dead_letters, schedules)
    return [complaint for check in checks for complaint in check(cloudformation["Resources"])]


def of_type(resources: Resources, kind: str) -> list[tuple[str, dict[str, Any]]]:
    """Names and properties of the resources of one type."""
    return [(name, one["Properties"]) for name, one in resources.items() if one["Type"] == kind]


def _groups_of(properties: dict[str, Any]) -> list[str]:
    """The log groups of a function, a workflow or a stage."""
    settings = [properties.get(name) for name in ("LoggingConfig", "LoggingConfiguration", "AccessLogSettings")]
    return re.findall(r'{"(?:Ref|Fn::GetAtt)": \[?"(\w+)"', json.dumps(settings))


def test_logs_dead_letters_and_limits_are_as_designed(template: Template, expand: Expand) -> None:
    assert complaints(expand(template)) == []


def without_group(template: Template) -> None:
    """Remove the log group of every function, so that Lambda chooses one."""
    del template["Globals"]["Function"]["LoggingConfig"]["LogGroup"]


IDENTITY = ("Auth", "Authorizers", "SupabaseToken", "Identity")
API_LOGS = {"LogGroup": {"Ref": "ApiLogs"}}
DENIED = ("PolicyDocument", "Statement", 1, "NotResource")
WITH_TOKEN = '{"token": "$context.identity.user"}'


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (without("FunctionLogs", "RetentionInDays"), "FunctionLogs: no retention by parameter"),
        (put("ApiLogs", "RetentionInDays", value=3653), "ApiLogs: no retention by parameter"),
        (without("FunctionLogs", "KmsKeyId"), "FunctionLogs: no key by parameter"),
        (put("FunctionLogs", "LogGroupName", value="/aws/lambda/pairing"), "FunctionLogs: one stack per account"),
        (without_group, "StatusFunction: may not write to its log group"),
        (
            put("StatusFunction", "LoggingConfig", value={"LogGroup": "elsewhere"}),
            "StatusFunction: may not write to its",
        ),
        (put("StatusFunction", "LoggingConfig", value=API_LOGS), "ApiLogs: used 2 times"),
        (put("OwnLogsOnly", *DENIED, value={"Ref": "ApiLogs"}), "PageFunction: may not write to its log group"),
        (put("PageFunction", "LoggingConfig", value={"LogFormat": "JSON"}), "PageFunction: its lines are not logged"),
        (
            put("StatusFunction", "Environment", "Variables", "POWERTOOLS_LOGGER_LOG_EVENT", value="true"),
            "StatusFunction: logs more than it should",
        ),
        (
            put("LinkerFunction", "Environment", "Variables", "POWERTOOLS_LOG_LEVEL", value="DEBUG"),
            "LinkerFunction: logs more than it should",
        ),
        (put("PageFunction", "Tracing", value="PassThrough"), "PageFunction: no tracing by parameter"),
        (put("PairingStateMachine", "Logging", "IncludeExecutionData", value=True), "logs execution data"),
        (put("PairingStateMachine", "Logging", "Level", value="OFF"), "logs execution data, or nothing"),
        (without("PairingStateMachine", "Logging"), "WorkflowLogs: used 0 times"),
        (without("PairingStateMachine", "Tracing"), "PairingStateMachine: no tracing by parameter"),
        (without("HttpApi", "AccessLogSettings"), "ApiLogs: used 0 times"),
        (put("HttpApi", "AccessLogSettings", "Format", value=WITH_TOKEN), "$context.identity.user"),
        (without("HttpApi", "DefaultRouteSettings", "ThrottlingRateLimit"), "other limits than the parameters"),
        (
            put("HttpApi", "RouteSettings", value={"GET /api/whatsapp/status": {"ThrottlingRateLimit": 5000}}),
            "other limits than the parameters",
        ),
        (put("HttpApi", *IDENTITY, value={"ReauthorizeEvery": 300}), "SupabaseToken: its answers are kept"),
        (put("HttpApi", *IDENTITY, value={"Headers": ["Authorization"]}), "SupabaseToken: API Gateway answers some"),
        (without("UnlinkDeadLetters", "SqsManagedSseEnabled"), "UnlinkDeadLetters: not encrypted"),
        (put("LinkerDeadLetters", "MessageRetentionPeriod", value=60), "LinkerDeadLetters: not kept for 14 days"),
        (put("LinkerFunction", "EventInvokeConfig", "MaximumRetryAttempts", value=2), "LinkerFunction: other retries"),
        (without("UnlinkFunction", "DeadLetterQueue"), "UnlinkFunction: no dead letters of its own"),
        (
            put("LinkerFunction", "DeadLetterQueue", "TargetArn", "Fn::GetAtt", 0, value="UnlinkDeadLetters"),
            "LinkerFunction: no dead letters of its own",
        ),
        (
            both(
                without("UnlinkFunction", "DeadLetterQueue"),
                put("UnlinkFunction", "EventInvokeConfig", "DestinationConfig", value={"OnFailure": {"Type": "SQS"}}),
            ),
            "UnlinkFunction: a destination gets the stack trace",
        ),
        (
            without("CleanupFunction", "Events", "Every5Minutes", "Properties", "OmitName"),
            "CleanupFunctionEvery5Minutes: one stack per account",
        ),
    ],
)
def test_a_changed_setting_is_noticed(template: Template, expand: Expand, change: Change, complaint: str) -> None:
    change(template)
    assert complaint in "\n".join(complaints(expand(template)))


@pytest.mark.parametrize(("given", "reserved"), [({}, None), ({"LinkerConcurrency": "25"}, 25)])
def test_the_linkers_concurrency_is_reserved_only_when_asked(given: dict[str, str], reserved: int | None) -> None:
    functions = read_template(ROOT / "template.yaml", NEEDED | given).functions
    expected = {name: reserved if name == "LinkerFunction" else None for name in functions}
    assert {name: function.reserved_concurrency for name, function in functions.items()} == expected


def test_the_linker_outlives_both_windows_at_their_longest(template: Template) -> None:
    """A login, the change between the two waits, and room for start and end take 120 s beside the windows."""
    windows = [template["Parameters"][f"{name}TimeoutSeconds"]["MaxValue"] for name in ("Qr", "Auth")]
    timeout = template["Resources"]["LinkerFunction"]["Properties"]["Timeout"]
    assert sum(windows) + 120 <= timeout <= 900


ISSUER = "https://abcd.supabase.co/auth/v1"


@pytest.mark.parametrize("value", ["", ISSUER, f"{ISSUER},http://127.0.0.1:8000", f" {ISSUER} , https://b.example "])
def test_a_list_of_issuers_is_taken(template: Template, value: str) -> None:
    assert re.fullmatch(template["Parameters"]["AcceptedIssuers"]["AllowedPattern"], value)
    functions = read_template(ROOT / "template.yaml", NEEDED | {"AcceptedIssuers": value}).functions
    assert functions["AuthorizerFunction"].environment["ACCEPTED_ISSUERS"] == value


@pytest.mark.parametrize("value", ["abcd.supabase.co", "supabase", f"{ISSUER} {ISSUER}", f"{ISSUER},", "ftp://a", "*"])
def test_no_list_of_issuers_is_refused_by_the_template(template: Template, value: str) -> None:
    assert not re.fullmatch(template["Parameters"]["AcceptedIssuers"]["AllowedPattern"], value)


def test_anonymous_users_are_refused_by_default() -> None:
    environment = read_template(ROOT / "template.yaml", NEEDED).functions["AuthorizerFunction"].environment
    assert environment["ALLOW_ANONYMOUS_USERS"] == "false"


@pytest.mark.parametrize(("given", "level"), [({}, "none"), ({"RequiredAssuranceLevel": "aal2"}, "aal2")], ids=str)
def test_a_second_factor_is_demanded_only_when_asked(given: dict[str, str], level: str) -> None:
    environment = read_template(ROOT / "template.yaml", NEEDED | given).functions["AuthorizerFunction"].environment
    assert environment["REQUIRED_ASSURANCE_LEVEL"] == level


@pytest.mark.parametrize("key", ["", "arn:aws:kms:eu-west-1:123456789012:key/1"])
def test_a_key_encrypts_every_log_group_or_none(template: Template, key: str) -> None:
    resources = local.Resources(template, ROOT, NEEDED | {"LogKmsKeyArn": key})
    groups = resources.ids("AWS::Logs::LogGroup")
    assert groups
    for group in groups:
        assert resources.resolve(resources.properties(group), group).get("KmsKeyId") == (key or None)
