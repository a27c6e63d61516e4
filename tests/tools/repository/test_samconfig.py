"""samconfig.toml as `sam deploy` itself reads it, because its parser has surprises about empty values."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from infra.build.samconfig import ignored
from infra.template.intrinsics import load_yaml
from tests.support.environment import CALLER
from tests.support.other_environments import tool
from tests.support.stack import ROOT

# Runs `sam deploy` up to the point at which it would call AWS. Prints the parameters for AWS, or SAM's own words.
DEPLOY = """
import json, sys
from unittest import mock
from click.testing import CliRunner
from samcli.commands.deploy import command
from samcli.commands.deploy.deploy_context import DeployContext
config, environment, template = sys.argv[1:]
with mock.patch.object(command, "do_cli") as called:
    options = ["--config-file", config, "--config-env", environment, "--template-file", "template.yaml"]
    done = CliRunner().invoke(command.cli, options)
if not called.called:
    print(json.dumps(done.output))
else:
    (given,) = [one for one in [*called.call_args.args, *called.call_args.kwargs.values()]
                if isinstance(one, dict) and "SupabaseUrl" in one]
    print(json.dumps(DeployContext.merge_parameters(json.loads(template), given)))
"""


def deployed(config: Path, environment: str) -> Any:
    """Return what `sam deploy` gives AWS: the value of each parameter, or None for the one before; or SAM's error."""
    template = {"Parameters": load_yaml((ROOT / "template.yaml").read_text())["Parameters"]}
    done = subprocess.run(
        [tool(".venv-sam", "python"), "-c", DEPLOY, config, environment, json.dumps(template)],
        capture_output=True, text=True, check=True, cwd=ROOT,
        env={"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "eu-west-1", "HOME": str(config.parent)},
    )  # fmt: skip
    answer = json.loads(done.stdout)
    if isinstance(answer, str):
        return answer
    return {one["ParameterKey"]: one.get("ParameterValue") for one in answer}


def written(folder: Path, *overrides: str) -> Path:
    """Write a samconfig.toml with these parameters."""
    path = folder / "samconfig.toml"
    path.write_text(
        'version = 0.1\n[dev.deploy.parameters]\nstack_name = "s"\nresolve_s3 = true\n'
        f"parameter_overrides = {json.dumps(['SupabaseUrl=https://abcd.supabase.co', *overrides])}\n"
    )
    return path


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_a_deployment_gives_aws_every_parameter(environment: str, tmp_path: Path) -> None:
    config = tmp_path / "samconfig.toml"
    config.write_text((ROOT / "samconfig.toml").read_text())
    given = deployed(config, environment)
    rows = tomllib.loads(config.read_text())[environment]["deploy"]["parameters"]["parameter_overrides"]
    assert given == {name: value.strip('"') for name, value in (row.split("=", 1) for row in rows)}
    assert given["LegacyJwtSecretName"] == given["WhatsAppProxy"] == ""


def test_two_quotes_empty_a_parameter(tmp_path: Path) -> None:
    assert deployed(written(tmp_path, 'LegacyJwtSecretName=""'), "dev")["LegacyJwtSecretName"] == ""


def test_a_parameter_that_is_not_named_keeps_its_value(tmp_path: Path) -> None:
    assert deployed(written(tmp_path), "dev")["LegacyJwtSecretName"] is None


def test_nothing_behind_the_equals_sign_is_refused(tmp_path: Path) -> None:
    assert "LegacyJwtSecretName= is not a valid format" in deployed(written(tmp_path, "LegacyJwtSecretName="), "dev")


def test_a_value_with_spaces_wants_quotes(tmp_path: Path) -> None:
    both = "https://a.example https://b.example"
    assert deployed(written(tmp_path, f'FrameAncestors="{both}"'), "dev")["FrameAncestors"] == both
    assert deployed(written(tmp_path, f"FrameAncestors={both}"), "dev")["FrameAncestors"] != both


WHOLE = (
    "AllowedOrigins=https://a.example,https://b.example",
    'AllowedOrigins="https://a.example, https://b.example"',
    "FrameAncestors='https://a.example https://b.example'",
    'FrameAncestors="say \\"a\\" b"',
    'LegacyJwtSecretName=""',
    "ApiRate=1 ApiBurst=2",
)
CUT = (
    "AllowedOrigins=https://a.example, https://b.example",
    "FrameAncestors=https://a.example https://b.example",
    'FrameAncestors=self"https://a.example"',
    "ApiRate = 1",
    "ApiRate=1 and more",
)


@pytest.mark.parametrize("row", WHOLE)
def test_a_value_that_sam_reads_whole_is_accepted(row: str, tmp_path: Path) -> None:
    config = written(tmp_path, row)
    assert ignored(config, ROOT / "template.yaml") == []
    given = deployed(config, "dev")
    read = " ".join(str(given[one.split("=")[0]]) for one in (row.split() if row.startswith("ApiRate") else [row]))
    assert read == {"ApiRate=1 ApiBurst=2": "1 2"}.get(row, row.split("=", 1)[1].strip("\"'").replace("\\", ""))


@pytest.mark.parametrize("row", CUT)
def test_a_value_that_sam_would_cut_is_refused(row: str, tmp_path: Path) -> None:
    config = written(tmp_path, row)
    (problem,) = ignored(config, ROOT / "template.yaml")
    assert problem.startswith(f"samconfig.toml, dev: SAM would cut {row} at a space or quote")
    given = deployed(config, "dev")
    name, value = row.split("=", 1)
    assert isinstance(given, str) or given[name] != value


@pytest.mark.parametrize("form", ["list", "text", "table"])
def test_a_misspelt_parameter_is_refused_in_each_form(form: str, tmp_path: Path) -> None:
    given = {
        "list": "['SupabaseUrl=https://a.b', 'ProbeEnable=true', 'Nonsense=\"\"']",
        "text": "'SupabaseUrl=https://a.b ProbeEnable=true Nonsense=\"\"'",
        "table": "{SupabaseUrl = 'https://a.b', ProbeEnable = true, Nonsense = ''}",
    }[form]
    config = tmp_path / "samconfig.toml"
    config.write_text(f"version = 0.1\n[prod.deploy.parameters]\nparameter_overrides = {given}\n[dev]\n")
    assert ignored(config, ROOT / "template.yaml") == [
        "samconfig.toml, prod: the template has no parameter ProbeEnable; ProbeEnabled?",
        "samconfig.toml, prod: the template has no parameter Nonsense",
    ]
    assert not {"ProbeEnable", "Nonsense"} & set(deployed(config, "prod"))


def test_a_broken_samconfig_is_refused_with_its_line(tmp_path: Path) -> None:
    config = tmp_path / "samconfig.toml"
    config.write_text("version = 0.1\n[dev\n")
    assert ignored(config, ROOT / "template.yaml") == [
        "samconfig.toml: Expected ']' at the end of a table declaration (at line 2, column 5)"
    ]


@pytest.mark.parametrize("target", ["build", "validate"])
def test_make_refuses_what_sam_would_ignore(target: str, tmp_path: Path) -> None:
    for name in (".venv-sam", "infra", "Makefile", "template.yaml"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "samconfig.toml").write_text((ROOT / "samconfig.toml").read_text().replace("ProbeEnabled", "Probe"))
    done = subprocess.run(
        ["make", "--silent", "--assume-old=sam-tools", target],
        cwd=tmp_path, env=CALLER, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("samconfig.toml, dev: the template has no parameter Probe")
