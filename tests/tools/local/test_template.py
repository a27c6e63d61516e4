"""Reading templates: intrinsic functions, conditions, defaults, and errors that name the faulty part."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.template.errors import TemplateError
from infra.template.reading import read_template
from infra.template.stack_definition import StackDefinition, function_name
from tests.support.stack import ROOT
from tests.tools.local.fixture_runner import TEMPLATE

Read = Callable[..., StackDefinition]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Write a template and read it. The folders ``src`` and ``lib`` stand beside it."""
    for folder in ("src", "lib"):
        (tmp_path / folder).mkdir()

    def read(text: str, **overrides: Any) -> StackDefinition:
        (tmp_path / "template.yaml").write_text(textwrap.dedent(text))
        return read_template(tmp_path / "template.yaml", overrides)

    return read


def _environment(read: Read, value: str, head: str = "", **overrides: Any) -> str | None:
    stack = read(
        head
        + textwrap.dedent(f"""
        Resources:
          One:
            Type: AWS::Serverless::Function
            Properties:
              CodeUri: src
              Handler: app.handler
              Environment: {{Variables: {{X: {value}}}}}
          Machine:
            Type: AWS::Serverless::StateMachine
            Properties: {{Name: m, Definition: {{}}}}
        """),
        **overrides,
    )
    return stack.functions["One"].environment.get("X")


HEAD = """
Parameters:
  Stage: {Type: String, Default: dev}
  Hosts: {Type: CommaDelimitedList, Default: "a,b"}
Mappings:
  Sizes: {dev: {memory: 5}}
Conditions:
  IsDev: !Equals [!Ref Stage, dev]
  IsLive: !And [!Not [!Condition IsDev], !Or [!Equals [a, a], !Condition IsDev]]
"""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "plain"),
        ("7", "7"),
        ("true", "true"),
        ("!Ref Stage", "dev"),
        ("!Ref AWS::Region", "us-east-1"),
        ("!Ref Machine", "arn:aws:states:us-east-1:123456789012:stateMachine:m"),
        ("!GetAtt One.Arn", "arn:aws:lambda:us-east-1:123456789012:function:One"),
        ("{Fn::GetAtt: [Machine, Name]}", "m"),
        ('!Sub "${Stage}-${!literal}-${One.Arn}-${AWS::AccountId}"',
         "dev-${literal}-arn:aws:lambda:us-east-1:123456789012:function:One-123456789012"),
        ('!Sub ["${a}${Stage}", {a: !Ref One}]', "Onedev"),
        ('!Join ["-", [a, !Ref Stage]]', "a-dev"),
        ("!Select [1, !Ref Hosts]", "b"),
        ('!Select [0, !Split ["/", "x/y"]]', "x"),
        ("!FindInMap [Sizes, !Ref Stage, memory]", "5"),
        ("!If [IsDev, yes-dev, no-dev]", "yes-dev"),
        ("!If [IsLive, x, !Ref AWS::NoValue]", None),
    ],
)  # fmt: skip
def test_each_intrinsic_function_is_resolved(read: Read, value: str, expected: str | None) -> None:
    assert _environment(read, value, HEAD) == expected


def test_a_given_parameter_beats_its_default(read: Read) -> None:
    assert _environment(read, "!If [IsDev, yes, !Ref Stage]", HEAD, Stage="live") == "live"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("!Ref Nobody", "One.Environment.X: !Ref Nobody"),
        ("!GetAtt One.Url", "One.Environment.X: !GetAtt One.Url"),
        ("!ImportValue x", "One.Environment.X: the local system does not know Fn::ImportValue"),
        ("!Select [9, [a]]", "One.Environment.X: Fn::Select"),
        ("!If [Nothing, a, b]", "no condition is named Nothing"),
        ("[a, list]", "One.Environment.X: ['a', 'list'] is not a string"),
    ],
)
def test_an_unresolvable_value_is_named(read: Read, value: str, words: str) -> None:
    with pytest.raises(TemplateError) as caught:
        _environment(read, value)

    assert words in str(caught.value)


def test_a_function_gets_globals_and_lambda_s_defaults(read: Read) -> None:
    stack = read("""
        Globals:
          Function: {Handler: app.handler, CodeUri: src, Timeout: 9, Layers: [!Ref A],
                     Environment: {Variables: {X: shared, Y: shared}}}
        Resources:
          One: {Type: AWS::Serverless::Function}
          Two:
            Type: AWS::Serverless::Function
            Properties: {FunctionName: second, Timeout: 5, Layers: [!Ref B], ReservedConcurrentExecutions: 3,
                         EventInvokeConfig: {MaximumRetryAttempts: 0}, Environment: {Variables: {X: own}}}
          A: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: lib}}
          B: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: lib}}
          Alarm: {Type: AWS::CloudWatch::Alarm, Properties: {Metric: !GetAtt Elsewhere.Name}}
        """)
    one, two = stack.functions["One"], stack.functions["second"]

    assert (one.timeout, one.memory_mb, one.retries, one.reserved_concurrency) == (9, 128, 2, None)
    assert (two.timeout, two.retries, two.reserved_concurrency) == (5, 0, 3)
    assert [layer.logical_id for layer in two.layers] == ["A", "B"]
    assert two.environment == {"X": "own", "Y": "shared"}


def test_a_resource_with_a_false_condition_is_left_out(read: Read) -> None:
    stack = read(
        HEAD
        + """
Resources:
  One: {Type: AWS::Serverless::Function, Condition: IsLive, Properties: {CodeUri: src, Handler: a.b}}
"""
    )

    assert stack.functions == {}


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ("One: {Type: AWS::Serverless::Function, Properties: {CodeUri: none, Handler: a.b}}", "One.CodeUri"),
        ("One: {Type: AWS::Serverless::Function, Properties: {CodeUri: src}}", "One.Handler is missing"),
        ("M: {Type: AWS::Serverless::StateMachine, Properties: {DefinitionUri: no.json}}", "M.DefinitionUri"),
        ("M: {Type: AWS::Serverless::StateMachine, Properties: {Definition: {A: '${B}'}}}", "${B}"),
        ("S: {Type: AWS::Scheduler::Schedule}", "S: AWS::Scheduler::Schedule does not run here"),
        ("A: {Type: AWS::Serverless::HttpApi, Properties: {CorsConfiguration: {AllowCredentials: true}}}",
         "A.CorsConfiguration: AllowCredentials does not run here"),
    ],
)  # fmt: skip
def test_a_broken_resource_is_named(read: Read, resources: str, words: str) -> None:
    with pytest.raises(TemplateError) as caught:
        read(f"Resources:\n  {resources}\n")

    assert words in str(caught.value)


NESTED = """
Resources:
  One: {Type: AWS::Serverless::Function, Properties: {CodeUri: src, Handler: a.b}}
  Nested: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: nested/it.yaml}}
"""


def _nest(folder: Path, text: str) -> None:
    (folder / "nested").mkdir()
    (folder / "nested" / "it.yaml").write_text(text)


def test_a_nested_template_where_nothing_runs_is_skipped(read: Read, tmp_path: Path) -> None:
    _nest(tmp_path, "Resources: {Alarm: {Type: AWS::CloudWatch::Alarm, Properties: {Metric: !Ref Anything}}}")

    assert set(read(NESTED).functions) == {"One"}


@pytest.mark.parametrize(
    "kind",
    [
        "AWS::Serverless::Function", "AWS::Lambda::Function", "AWS::Serverless::LayerVersion",
        "AWS::Serverless::HttpApi", "AWS::ApiGatewayV2::Api", "AWS::Serverless::StateMachine",
        "AWS::Scheduler::Schedule", "AWS::Events::Rule", "AWS::CloudFormation::Stack", "AWS::Serverless::Application",
    ],
)  # fmt: skip
def test_a_nested_template_where_something_runs_is_refused(read: Read, tmp_path: Path, kind: str) -> None:
    _nest(tmp_path, f"Resources: {{Alarm: {{Type: AWS::CloudWatch::Alarm}}, It: {{Type: {kind}}}}}")

    with pytest.raises(TemplateError, match=rf"Nested\.TemplateURL: nested/it\.yaml: It is nested, and no {kind} runs"):
        read(NESTED)


@pytest.mark.parametrize("text", ["a: [", "Parameters: {}", "- Resources", "Resources: {It: {}}"])
def test_a_nested_file_without_a_template_is_named(read: Read, tmp_path: Path, text: str) -> None:
    _nest(tmp_path, text)

    with pytest.raises(TemplateError, match=r"Nested\.TemplateURL: nested/it\.yaml is no template"):
        read(NESTED)


@pytest.mark.parametrize(
    ("kind", "location"),
    [
        ("CloudFormation::Stack", "TemplateURL: https://bucket.s3.amazonaws.com/alarms.yaml"),
        ("CloudFormation::Stack", "TemplateURL: no/such.yaml"),
        ("Serverless::Application", "Location: {ApplicationId: arn, SemanticVersion: 1.0.0}"),
    ],
)
def test_a_nested_template_that_is_no_local_file_is_refused(read: Read, kind: str, location: str) -> None:
    with pytest.raises(TemplateError, match=r"Other\.\w+: there is no file"):
        read(f"Resources: {{Other: {{Type: AWS::{kind}, Properties: {{{location}}}}}}}")


def _with_event(read: Read, kind: str, properties: str, api: str = "") -> StackDefinition:
    return read(f"""
        Resources:
          Api: {{Type: AWS::Serverless::HttpApi, Properties: {{{api}}}}}
          One:
            Type: AWS::Serverless::Function
            Properties: {{CodeUri: src, Handler: a.b, Events: {{It: {{Type: {kind}, Properties: {{{properties}}}}}}}}}
        """)


@pytest.mark.parametrize(
    ("kind", "properties", "words"),
    [
        ("Schedule", "Schedule: rate(1 day)", "Schedule does not run here, only HttpApi and ScheduleV2 do"),
        ("SQS", "", "SQS does not run here"),
        ("HttpApi", "", "$default: only exact paths and {name}"),
        ("HttpApi", "Path: $default", "$default: only exact paths and {name}"),
        ("HttpApi", "Path: '/{proxy+}/files'", "/{proxy+}/files: only exact paths and {name}"),
        ("ScheduleV2", "ScheduleExpression: 'cron(0 18 ? * MON-FRI *)'", "cron(0 18 ? * MON-FRI *): only rate()"),
        ("ScheduleV2", "ScheduleExpression: at(2025-01-01T00:00:00)", "at(2025-01-01T00:00:00): only rate()"),
        ("ScheduleV2", "ScheduleExpression: rate(0 minutes)", "rate(0 minutes): only rate()"),
        ("ScheduleV2", "ScheduleExpression: rate(1 day), ScheduleExpressionTimezone: Asia/Tokyo",
         "ScheduleExpressionTimezone"),
        ("ScheduleV2", "ScheduleExpression: rate(1 day), Input: '{'", "not JSON"),
    ],
)  # fmt: skip
def test_an_event_that_does_not_run_here_is_named(read: Read, kind: str, properties: str, words: str) -> None:
    with pytest.raises(TemplateError) as caught:
        _with_event(read, kind, properties)

    assert str(caught.value).startswith("One.Events.It")
    assert words in str(caught.value)


def test_an_authorizer_that_is_no_function_is_named(read: Read) -> None:
    authorizer = "{FunctionArn: 'arn:aws:lambda:r:1:function:None', EnableSimpleResponses: true}"
    with pytest.raises(TemplateError, match="authorizer Token: None is not a function"):
        _with_event(
            read, "HttpApi", "ApiId: !Ref Api, Path: /a, Auth: {Authorizer: Token}",
            f"Auth: {{Authorizers: {{Token: {authorizer}}}}}",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("rate", "seconds"), [("rate(1 minute)", 60), ("rate(5 minutes)", 300), ("rate(12 hours)", 43_200)]
)
def test_a_schedules_rate_is_read(read: Read, rate: str, seconds: int) -> None:
    (schedule,) = _with_event(read, "ScheduleV2", f"ScheduleExpression: {rate}").schedules

    assert (schedule.function, schedule.seconds) == ("One", seconds)


def test_a_parameter_without_a_value_is_named(read: Read) -> None:
    with pytest.raises(TemplateError, match="--parameter Needed=VALUE"):
        read("Parameters: {Needed: {Type: String}}\nResources: {}\n")


def test_a_state_machines_substitutions_are_done() -> None:
    stack = read_template(TEMPLATE, {"StateDir": "/tmp"}, {"AllowedOrigins": "https://a.example"})
    (machine,) = stack.state_machines
    wait = json.loads(machine.definition)["States"]["Wait"]

    assert wait["TimeoutSeconds"] == 60
    assert wait["Parameters"]["FunctionName"] == stack.functions["TokenFunction"].arn


def test_the_projects_own_template_can_be_read() -> None:
    supplied = {"SupabaseUrl": "http://127.0.0.1:3000", "AllowedOrigins": "http://127.0.0.1:3000"}
    stack = read_template(ROOT / "template.yaml", {"QrTimeoutSeconds": "15"}, supplied)

    assert {function.short_name for function in stack.functions.values()} >= {"connect", "linker", "status"}
    assert stack.cors is not None
    assert stack.cors.origins == ("http://127.0.0.1:3000",)


@pytest.mark.parametrize(("switch", "probes"), [({}, False), ({"ProbeEnabled": "true"}, True)])
def test_a_schedule_that_is_switched_off_does_not_run(switch: dict[str, str], probes: bool) -> None:
    supplied = {"SupabaseUrl": "http://127.0.0.1:3000", "AllowedOrigins": "http://127.0.0.1:3000"}
    stack = read_template(ROOT / "template.yaml", switch, supplied)
    scheduled = {schedule.function for schedule in stack.schedules}
    assert scheduled == {"CleanupFunction"} | ({"ProbeFunction"} if probes else set())
    assert "ProbeFunction" in stack.functions


@pytest.mark.parametrize(
    "reference",
    ["Hello", "Hello:live", "arn:aws:lambda:r:1:function:Hello", "arn:aws:lambda:r:1:function:Hello:3"],
)
def test_a_function_gets_a_name(reference: str) -> None:
    assert function_name(reference) == "Hello"
