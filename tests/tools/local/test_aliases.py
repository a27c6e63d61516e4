"""References to a function's alias, and calls of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from infra.template.errors import TemplateError
from infra.template.reading import read_template
from infra.template.stack_definition import StackDefinition, qualifier
from tests.support.stack import ROOT
from tests.tools.local.fixture_runner import FixtureRunner

LIVE = "arn:aws:lambda:us-east-1:123456789012:function:One:live"


def with_reference(folder: Path, value: str, alias: str | None = "live") -> StackDefinition:
    """Read a template with a function that refers to itself."""
    (folder / "src").mkdir()
    function = {"CodeUri": "src", "Handler": "a.b", "Environment": {"Variables": {"X": "VALUE"}}}
    if alias is not None:
        function["AutoPublishAlias"] = alias
    text = json.dumps({"Resources": {"One": {"Type": "AWS::Serverless::Function", "Properties": function}}})
    (folder / "template.yaml").write_text(text.replace('"VALUE"', value))
    return read_template(folder / "template.yaml", {})


@pytest.mark.parametrize("value", ['{"Ref": "One.Alias"}', '{"Fn::Sub": "${One.Alias}"}'])
def test_a_reference_to_an_alias_is_its_arn(tmp_path: Path, value: str) -> None:
    assert with_reference(tmp_path, value).functions["One"].environment == {"X": LIVE}


def test_an_alias_that_sam_does_not_make_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"!Ref One\.Alias"):
        with_reference(tmp_path, '{"Ref": "One.Alias"}', alias=None)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [("One", "$LATEST"), ("One:live", "live"), (LIVE, "live"), (LIVE.removesuffix(":live"), "$LATEST")],
)
def test_a_reference_without_a_qualifier_means_latest(reference: str, expected: str) -> None:
    assert qualifier(reference) == expected


def test_the_projects_functions_are_called_by_their_alias() -> None:
    supplied = {"SupabaseUrl": "http://127.0.0.1", "AllowedOrigins": "http://127.0.0.1"}
    stack = read_template(ROOT / "template.yaml", {}, supplied)
    given = {
        value
        for function in stack.functions.values()
        for name, value in function.environment.items()
        if name in ("LINKER_FUNCTION", "UNLINK_FUNCTION")
    }
    assert {one.rpartition("function:")[2] for one in given} == {"LinkerFunction:live", "UnlinkFunction:live"}


def test_a_call_of_an_alias_that_does_not_exist_is_refused(runner: FixtureRunner) -> None:
    """The fixture's functions have no alias."""
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        runner.aws("lambda").invoke(FunctionName="WorkerFunction:live", Payload=b"{}")
