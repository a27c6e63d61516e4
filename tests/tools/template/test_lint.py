"""The findings of linters in template.yaml and its nested template, and our exceptions with reasons.

cfn-lint reads one file at a time, so each is linted by itself. Exceptions that `make validate` needs too stand in
alarms.yaml under Metadata.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.nested import ALARMS, joined
from tests.support.other_environments import tool
from tests.support.stack import ROOT
from tests.tools.template.conftest import Expand, Template
from tests.tools.template.template_edits import add, without

Finding = tuple[str, str]  # rule and resource

# Key: a rule. Value: the resources that are excepted (a pattern of their whole names), and the reason.
CFN_LINT_EXCEPTIONS = {
    "WS1000": (r".*Function", "tracing is a parameter; test_settings holds every function to it"),
    "WS1004": (r".*Function", "the rule does not know LoggingConfig; test_settings holds every function to its group"),
    "WS5000": (r"SettingsRecord", "it never runs, so there is nothing to trace"),
    "ES6000": (r".*DeadLetters", "these are dead-letter queues themselves; the rule knows only those of other queues"),
}
CHECKOV_EXCEPTIONS = {
    "CKV_AWS_27": (r".*DeadLetters", "encrypted with the key of SQS; the check knows only keys of one's own"),
    "CKV_AWS_115": (
        r"(?!Linker).*Function",
        "reserving takes from the rest of the account; the API's throttling bounds them all, a parameter the linker",
    ),
    "CKV_AWS_116": (
        r"(?!Linker|Unlink).*Function",
        "called synchronously, so the caller learns of a failure; cleanup and probe run again by the clock",
    ),
    "CKV_AWS_117": (r".*Function", "they talk to Supabase and WhatsApp; a VPC would only put a NAT gateway in between"),
    "CKV_AWS_173": (r".*Function", "the environment holds names and public values; secrets are in Secrets Manager"),
}


def cfn_lint(template: Path) -> set[Finding]:
    """Return the findings of cfn-lint, with its rules for serverless applications."""
    command = [Path(sys.executable).with_name("cfn-lint"), "--append-rules", "cfn_lint_serverless.rules"]
    done = subprocess.run(
        [*command, "--format", "json", template], capture_output=True, text=True, check=False, cwd=ROOT
    )
    # A finding without a resource belongs to the whole template.
    return {
        (one["Rule"]["Id"], ([*one["Location"]["Path"], "", ""])[1] or "the template")
        for one in json.loads(done.stdout)
    }


def checkov(cloudformation: Template, folder: Path) -> set[Finding]:
    """Return the findings of checkov in an expanded template."""
    path = folder / "template.json"
    path.write_text(json.dumps(cloudformation))
    command = [tool(".venv-security", "checkov"), "--skip-download", "--framework", "cloudformation", "--compact"]
    done = subprocess.run(
        [*command, "--quiet", "--output", "json", "--file", path],
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"]
    return {(one["check_id"], one["resource"].split(".", 1)[1]) for one in report["results"]["failed_checks"]}


def unexcused(findings: set[Finding], exceptions: dict[str, tuple[str, str]]) -> list[str]:
    """Findings without an exception, and exceptions without a finding."""
    excused = {
        (rule, resource)
        for rule, resource in findings
        if rule in exceptions and re.fullmatch(exceptions[rule][0], resource)
    }
    stale = set(exceptions) - {rule for rule, _ in excused}
    return [f"{rule}: {resource}" for rule, resource in sorted(findings - excused)] + [
        f"{rule}: finds nothing any more, so its exception can go" for rule in sorted(stale)
    ]


def test_every_finding_of_cfn_lint_has_a_reason() -> None:
    assert unexcused(cfn_lint(ROOT / "template.yaml") | cfn_lint(ALARMS), CFN_LINT_EXCEPTIONS) == []


def test_cfn_lint_sees_a_mistake(template: Template, tmp_path: Path) -> None:
    template["Resources"]["CleanupFunction"]["Properties"]["CodeUrii"] = "functions/cleanup"
    without("HttpApi", "DefaultRouteSettings")(template)
    (tmp_path / "template.json").write_text(json.dumps(template))
    found = unexcused(cfn_lint(tmp_path / "template.json"), CFN_LINT_EXCEPTIONS)
    assert "E3002: CleanupFunction" in found  # a rule of cfn-lint itself
    assert "ES2003: HttpApi" in found  # a rule for serverless applications


def test_every_finding_of_checkov_has_a_reason(expand: Expand, tmp_path: Path) -> None:
    assert unexcused(checkov(expand(joined(), Tracing="Disabled"), tmp_path), CHECKOV_EXCEPTIONS) == []


def test_checkov_sees_a_mistake(template: Template, expand: Expand, tmp_path: Path) -> None:
    without("UnlinkFunction", "DeadLetterQueue")(template)
    add("Open", "AWS::S3::Bucket", AccessControl="PublicReadWrite")(template)
    found = unexcused(checkov(expand(template), tmp_path), CHECKOV_EXCEPTIONS)
    assert "CKV_AWS_116: UnlinkFunction" in found
    assert "CKV_AWS_57: Open" in found


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        ({("R1", "AFunction")}, []),
        ({("R1", "AFunction"), ("R2", "AFunction")}, ["R2: AFunction"]),
        ({("R1", "AFunction"), ("R1", "Queue")}, ["R1: Queue"]),
        ({("R1", "Queue")}, ["R1: Queue", "R1: finds nothing any more, so its exception can go"]),
        (set(), ["R1: finds nothing any more, so its exception can go"]),
    ],
)
def test_an_exception_covers_its_resources_while_it_is_needed(findings: set[Finding], expected: list[str]) -> None:
    assert unexcused(findings, {"R1": (".*Function", "because")}) == expected
