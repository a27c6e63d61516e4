"""samconfig.toml as `sam deploy` itself reads it, because its parser has surprises about empty values."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from infra.template.intrinsics import load_yaml
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
    rows = "".join(f"  '{one}',\n" for one in ("SupabaseUrl=https://abcd.supabase.co", *overrides))
    path = folder / "samconfig.toml"
    path.write_text(
        'version = 0.1\n[dev.deploy.parameters]\nstack_name = "s"\nresolve_s3 = true\n'
        f"parameter_overrides = [\n{rows}]\n"
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
