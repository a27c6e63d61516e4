"""Alarms and dashboard watch metrics that exist. Our own metrics are those that the code writes."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.core.results import Result
from whatsapp_pairing.runtime import metrics
from whatsapp_pairing.runtime.observability import NAMESPACE

from infra.template.intrinsics import PLACEHOLDER
from tests.support.metrics import metrics_in
from tests.support.nested import joined, reference

OUTCOMES = {Result.CONNECTED, *Reason}
STACK = "${AWS::StackName}"
ALARM_ARNS = "arn:${AWS::Partition}:cloudwatch:${AWS::Region}:${AWS::AccountId}:alarm"

LAMBDA_METRICS = {"Invocations", "Errors", "Throttles", "AsyncEventAge"}

# AWS's metrics: the dimension, how a template names its value, the type of resource, and the metrics that we use.
AWS = {
    "AWS/Lambda": ("FunctionName", "${X}", "AWS::Serverless::Function", LAMBDA_METRICS),
    "AWS/ApiGateway": ("ApiId", "${X}", "AWS::Serverless::HttpApi", {"Count", "4xx", "5xx", "Latency"}),
    "AWS/SQS": ("QueueName", "${X.QueueName}", "AWS::SQS::Queue", {"ApproximateNumberOfMessagesVisible"}),
    "AWS/States": (
        "StateMachineArn",
        "${X}",
        "AWS::Serverless::StateMachine",
        {f"Executions{end}" for end in ("Started", "Succeeded", "Failed", "TimedOut", "Aborted")},
    ),
}

# Our metrics, with every value that each dimension can have.
Dimensions = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Watched:
    """A watched metric. References are written as in Fn::Sub."""

    by: str
    namespace: str
    name: str
    dimensions: Dimensions


Template = dict[str, Any]


@pytest.fixture
def template() -> Template:
    """template.yaml and its nested template of alarms, as one template."""
    return joined()


@pytest.fixture
def counted(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, Dimensions]]:
    """Every metric that the code can write, found by calling all functions that count."""
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", STACK)
    calls: dict[str, Callable[[], object]] = {
        "started": metrics.started,
        "first_qr": lambda: metrics.first_qr(1.0),
        "linker_replaced": metrics.linker_replaced,
        "connected": lambda: metrics.connected(2.0, 1.0, 1),
        "row_behind": metrics.row_behind,
        "left": lambda: metrics.left(0),
        "engine_database_failed": metrics.engine_database_failed,
        "ended": lambda: [metrics.ended(outcome, 1) for outcome in OUTCOMES],
        "probed": lambda: [metrics.probed(1.0, failure) for failure in (None, *Reason)],
    }
    ours = {name for name, it in vars(metrics).items() if getattr(it, "__module__", "") == metrics.__name__}
    assert ours == set(calls), "a function that counts and is not tried here"
    for call in calls.values():
        call()
    written = metrics_in(capsys.readouterr().out)
    assert {metric.namespace for metric in written} == {NAMESPACE}
    return {(metric.name, frozenset(metric.dimensions)) for metric in written}


# ── the watched metrics ──


def alarms(template: Template) -> dict[str, Template]:
    return {
        name: resource for name, resource in template["Resources"].items() if resource["Type"].endswith("Watch::Alarm")
    }


def watched_by_alarms(template: Template) -> Iterator[Watched]:
    for name, alarm in alarms(template).items():
        properties = alarm["Properties"]
        metrics = [query["MetricStat"]["Metric"] for query in properties.get("Metrics", []) if "MetricStat" in query]
        for metric in metrics or [properties]:
            dimensions = frozenset((one["Name"], reference(one["Value"])) for one in metric["Dimensions"])
            yield Watched(name, metric["Namespace"], metric["MetricName"], dimensions)


def dashboard(template: Template) -> str:
    """The dashboard as text, as it is when the probe is switched on."""
    text, parts = template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    condition, shown, hidden = parts["ProbeAlarms"]["Fn::If"]
    assert (condition, hidden) == ("ProbeOn", "")
    probe_alarms, own = shown["Fn::Sub"]
    assert own["AlarmArns"] == parts["AlarmArns"] == {"Fn::Sub": ALARM_ARNS}
    text = text.replace("${OtherFunctions}", parts["OtherFunctions"]["Fn::Sub"])
    json.loads(text.replace("${ProbeAlarms}", hidden))
    return str(text.replace("${ProbeAlarms}", probe_alarms).replace("${AlarmArns}", ALARM_ARNS))


def widgets(template: Template) -> list[dict[str, Any]]:
    return list(json.loads(dashboard(template))["widgets"])


def watched_by_the_dashboard(template: Template) -> Iterator[Watched]:
    for widget in widgets(template):
        before: list[str] = []
        for row in widget["properties"].get("metrics", []):
            before = spelt_out([part for part in row if isinstance(part, str)], before)
            namespace, name, *dimensions = before
            pairs = frozenset(zip(dimensions[::2], dimensions[1::2], strict=True))
            yield Watched(widget["properties"]["title"], namespace, name, pairs)


def spelt_out(row: list[str], before: list[str]) -> list[str]:
    """Expand CloudWatch's abbreviations: "." repeats the part above, and "..." all missing parts at the front."""
    if row[0] == "...":
        row = before[: len(before) - len(row) + 1] + row[1:]
    return [before[number] if part == "." else part for number, part in enumerate(row)]


def watched(template: Template) -> list[Watched]:
    return [*watched_by_alarms(template), *watched_by_the_dashboard(template)]


def unknown(template: Template, counted: set[tuple[str, Dimensions]]) -> list[Watched]:
    """The watched metrics that do not exist."""
    return [one for one in watched(template) if not known(one, template, counted)]


def known(one: Watched, template: Template, counted: set[tuple[str, Dimensions]]) -> bool:
    if one.namespace == NAMESPACE:
        return (one.name, one.dimensions) in counted
    if one.namespace not in AWS:
        return False
    dimension, pattern, kind, names = AWS[one.namespace]
    ((name, value),) = one.dimensions
    resource = re.fullmatch(re.escape(pattern).replace("X", r"(\w+)"), value)
    return (
        one.name in names
        and name == dimension
        and resource is not None
        and template["Resources"].get(resource[1], {}).get("Type") == kind
    )


# ── each watched metric exists ──


def test_every_watched_metric_is_written(template: Template, counted: set[tuple[str, Dimensions]]) -> None:
    assert len(list(watched_by_alarms(template))) > 12
    assert len(list(watched_by_the_dashboard(template))) > 50
    assert unknown(template, counted) == []


def test_functions_write_the_metrics_that_their_stack_watches(template: Template) -> None:
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    assert variables["POWERTOOLS_SERVICE_NAME"] == {"Ref": "AWS::StackName"}


# ── the dashboard is complete ──


def test_the_dashboard_shows_every_metric(template: Template, counted: set[tuple[str, Dimensions]]) -> None:
    shown = {(one.name, one.dimensions) for one in watched_by_the_dashboard(template) if one.namespace == NAMESPACE}
    # A probe can end with only some of the reasons.
    assert {(name, dimensions) for name, dimensions in counted - shown if name != "ProbeFailed"} == set()
    assert "ProbeFailed" in {name for name, _ in shown}


@pytest.mark.parametrize("metric", ["Errors", "Throttles"])
def test_the_dashboard_shows_every_function(template: Template, metric: str) -> None:
    shown = {value for one in watched_by_the_dashboard(template) if one.name == metric for _, value in one.dimensions}
    functions = {name for name, it in template["Resources"].items() if it["Type"] == "AWS::Serverless::Function"}
    assert shown == {"${" + name + "}" for name in functions}


def test_the_dashboard_shows_every_alarm(template: Template) -> None:
    (shown,) = [widget["properties"]["alarms"] for widget in widgets(template) if widget["type"] == "alarm"]
    assert sorted(shown) == sorted(f"{ALARM_ARNS}:${{{name}}}" for name in alarms(template))
    assert {alarm["Condition"] for alarm in alarms(template).values() if "Condition" in alarm} == {"ProbeOn"}


def test_the_dashboard_names_only_what_the_template_has(template: Template) -> None:
    named = {match[2].partition(".")[0] for match in PLACEHOLDER.finditer(dashboard(template))}
    assert named - {STACK[2:-1], *re.findall(r"AWS::\w+", ALARM_ARNS)} <= set(template["Resources"])


# ── each alarm can ring, and says what to do first ──


def test_each_alarm_names_a_first_step_and_uses_the_topic(template: Template) -> None:
    topic = {"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}
    for name, alarm in alarms(template).items():
        properties = alarm["Properties"]
        assert " First: " in properties["AlarmDescription"], name
        assert len(properties["AlarmDescription"]) <= 1024, name
        assert properties["AlarmActions"] == properties["OKActions"] == topic, name


def test_the_alarm_about_the_engines_database_names_its_secret(template: Template) -> None:
    properties = template["Resources"]["EngineStoreAlarm"]["Properties"]
    (secrets,) = {
        str(function["Properties"]["Environment"]["Variables"]["ENGINE_DATABASE_SECRET_NAME"])
        for name, function in template["Resources"].items() if name in ("LinkerFunction", "UnlinkFunction")
    }  # fmt: skip
    assert "${DatabaseSecretName}/engine" in secrets
    assert 'the parameter DatabaseSecretName and "/engine"' in properties["AlarmDescription"]
    assert (properties["MetricName"], properties["Threshold"]) == ("EngineStoreFailed", 1)


@pytest.mark.parametrize("name", ["Linker", "Unlink"])
def test_a_late_event_rings_before_lambda_gives_it_up(template: Template, name: str) -> None:
    alarm = template["Resources"][f"{name}EventsLateAlarm"]["Properties"]
    config = template["Resources"][f"{name}Function"]["Properties"]["EventInvokeConfig"]
    assert alarm["MetricName"] == "AsyncEventAge"
    assert alarm["Threshold"] < 1000 * config["MaximumEventAgeInSeconds"] / 2


def test_only_alarms_on_schedules_ring_without_data(template: Template) -> None:
    missing = {name: alarm["Properties"]["TreatMissingData"] for name, alarm in alarms(template).items()}
    assert {name for name, treated in missing.items() if treated == "breaching"} == {
        "CleanupNotRunningAlarm", "ProbeFailingAlarm",
    }  # fmt: skip
    assert set(missing.values()) == {"breaching", "notBreaching"}


def expression_faults(alarm: Template) -> list[str]:
    """The faults of an alarm's expression that CloudWatch would refuse."""
    queries = alarm["Properties"].get("Metrics", [])
    ids = {query["Id"] for query in queries if "MetricStat" in query}
    returned = [query for query in queries if query.get("ReturnData", True)]
    faults = [] if len(returned) == 1 or not queries else ["not one result"]
    for query in returned:
        used = set(re.findall(r"[a-z]\w*", query["Expression"]))
        faults += [f"{name} is unknown" for name in used - ids] + [f"{name} is unused" for name in ids - used]
    return faults


def test_each_expression_uses_exactly_its_queries(template: Template) -> None:
    faults = {name: found for name, alarm in alarms(template).items() if (found := expression_faults(alarm))}
    assert faults == {}
    wrong = copy.deepcopy(template["Resources"]["QrTimeoutAlarm"])
    wrong["Properties"]["Metrics"][-1]["Expression"] = "IF(bad >= 3, 100 * bad / endet, 0)"
    assert set(expression_faults(wrong)) == {"endet is unknown", "ended is unused"}


# ── the probe ──


def test_the_probe_is_off_unless_it_is_switched_on(template: Template) -> None:
    assert template["Parameters"]["ProbeEnabled"]["Default"] == "false"
    (schedule,) = template["Resources"]["ProbeFunction"]["Properties"]["Events"].values()
    assert schedule["Properties"]["State"] == {"Fn::If": ["ProbeOn", "ENABLED", "DISABLED"]}


def test_the_probe_ends_before_it_is_killed(template: Template) -> None:
    from whatsapp_pairing.probe import LIMIT_SECONDS

    assert template["Resources"]["ProbeFunction"]["Properties"]["Timeout"] >= LIMIT_SECONDS + 10
