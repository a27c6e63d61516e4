"""samconfig.toml and the GitHub workflows name only things that exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.postgres.binaries import FOLDERS
from infra.template.errors import TemplateError
from infra.template.intrinsics import load_yaml
from infra.template.reading import read_template
from tests.support.other_postgres import FROM_NPM

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENTS = ("dev", "prod")
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def config(environment: str) -> dict[str, Any]:
    """One environment's part of samconfig.toml."""
    found: dict[str, Any] = tomllib.loads((ROOT / "samconfig.toml").read_text())[environment]
    return found


def overrides(environment: str) -> dict[str, str]:
    """The parameters that an environment gives the template."""
    given = config(environment)["deploy"]["parameters"]["parameter_overrides"]
    return {name: value.strip('"') for name, value in (one.split("=", 1) for one in given)}


OTHER_THAN_DEFAULT = {
    "dev": {"DatabaseSecretName", "LogRetentionDays", "GradualDeployment"},
    "prod": {"SupabaseAnonKey", "AlarmTopicArn", "ProbeEnabled"},
}
FILLED_IN = {
    "YOUR-DEV-PROJECT": "dev", "YOUR-PROJECT": "abcd", "YOUR-PUBLISHABLE-KEY": "sb_publishable_x",
    "YOUR-SNS-TOPIC-ARN": "arn:aws:sns:eu-west-1:123456789012:alarms",
}  # fmt: skip


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_gives_exactly_the_template_s_parameters(environment: str) -> None:
    """The reader of the template refuses an unknown parameter, a missing value and a wrong value."""
    given = overrides(environment)
    with pytest.raises(TemplateError, match="parameter SupabaseUrl"):
        read_template(ROOT / "template.yaml", given)
    for placeholder, value in FILLED_IN.items():
        given = {name: text.replace(placeholder, value) for name, text in given.items()}
    stack = read_template(ROOT / "template.yaml", given)
    assert stack.functions
    assert "YOUR-" not in str(stack.parameters)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_no_parameter_is_missing_or_named_twice(environment: str) -> None:
    """AWS keeps the last value of a parameter that is not named."""
    named = [one.partition("=")[0] for one in config(environment)["deploy"]["parameters"]["parameter_overrides"]]
    assert named == list(load_yaml((ROOT / "template.yaml").read_text())["Parameters"])


def test_every_parameter_is_explained_in_the_first_list() -> None:
    text = (ROOT / "samconfig.toml").read_text().partition("[dev.deploy.parameters]")[2].partition("\n]")[0]
    lines = [line for line in text.partition("parameter_overrides = [\n")[2].splitlines() if "=" in line]
    assert len(lines) == len(overrides("dev"))
    assert [line for line in lines if not re.fullmatch(r"  (\"[^\"]+\"|'[^']+'), # \S.+", line)] == []


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_value_that_the_template_has_too_is_the_same(environment: str) -> None:
    """A default that changes in the template changes here too, or a deployment would keep the old one."""
    declared = load_yaml((ROOT / "template.yaml").read_text())["Parameters"]
    given = overrides(environment)
    other = {name for name, one in declared.items() if "Default" in one and given[name] != str(one["Default"])}
    assert other == OTHER_THAN_DEFAULT[environment]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_environment_is_built_by_the_recipe(environment: str) -> None:
    assert config(environment)["build"] == config("default")["build"]
    assert (ROOT / config("default")["build"]["parameters"]["manifest"]).is_file()


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_deployment_may_do_what_the_template_needs(environment: str) -> None:
    """Roles need CAPABILITY_IAM. A nested stack in a SAM template needs CAPABILITY_AUTO_EXPAND."""
    given = config(environment)["deploy"]["parameters"]["capabilities"]
    assert sorted(given) == ["CAPABILITY_AUTO_EXPAND", "CAPABILITY_IAM"]


def test_the_environments_share_nothing_in_aws() -> None:
    names = [config(one)["deploy"]["parameters"]["stack_name"] for one in ENVIRONMENTS]
    secrets = [overrides(one)["DatabaseSecretName"] for one in ENVIRONMENTS]
    assert len(set(names)) == len(set(secrets)) == len(ENVIRONMENTS)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_runs_existing_targets_only(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    workflow = yaml.safe_load(path.read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    commands = [step["run"] for step in steps if "run" in step]
    assert commands
    for command in commands:
        for made in re.findall(r"make ([\w -]+)(?=$| [A-Z]+=)", command):
            assert set(made.split()) <= targets
        for script in re.findall(r"^\.ci/\S+", command):
            assert (ROOT / script).is_file()
        for module in re.findall(r"-m (infra\.\w+)", command):
            assert (ROOT / module.replace(".", "/") / "__main__.py").is_file()


def test_every_supported_postgres_is_tested() -> None:
    """The wheel has two of the versions, and npm has the others."""
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())["jobs"]
    versions = jobs["postgres"]["strategy"]["matrix"]["version"]
    assert versions == sorted({*FOLDERS, *FROM_NPM}) == ["15", "16", "17", "18"]
    assert jobs["postgres"]["steps"][-1]["run"] == "make test-postgres POSTGRES=${{ matrix.version }}"
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    (folders,) = re.findall(r"^POSTGRES_TESTS = (.*)$", makefile, re.MULTILINE)
    assert all((ROOT / folder).is_dir() for folder in folders.split())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_each_action_is_pinned_to_a_commit(path: Path) -> None:
    used = re.findall(r"uses: (\S+)(.*)", path.read_text())
    assert used
    for action, comment in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action)
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment)


def test_the_deploying_workflow_holds_no_key_of_aws() -> None:
    text = (ROOT / ".github" / "workflows" / "deploy.yml").read_text()
    assert "role-to-assume" in text
    assert not re.search(r"aws[_-](access|secret)[_-]", text, re.IGNORECASE)
    assert "persist-credentials: false" in text


def test_a_deployment_to_prod_is_rehearsed_before_it_logs_in() -> None:
    (job,) = yaml.safe_load((ROOT / ".github" / "workflows" / "deploy.yml").read_text())["jobs"].values()
    steps = [step.get("run") or step["uses"].partition("@")[0] for step in job["steps"]]
    rehearsal = steps.index("make rehearse")
    assert rehearsal < steps.index("aws-actions/configure-aws-credentials")
    assert job["steps"][rehearsal]["if"] == "env.CONFIG_ENV == 'prod'"
    # Without this Python, the rehearsal would be skipped.
    (python,) = [step["with"]["python-version"] for step in job["steps"] if "python-version" in step.get("with", {})]
    assert python == "3.13"


def test_the_deploy_workflow_has_the_environments_of_samconfig() -> None:
    deploy = yaml.safe_load((ROOT / ".github" / "workflows" / "deploy.yml").read_text())
    offered = deploy[True]["workflow_dispatch"]["inputs"]["environment"]["options"]  # YAML reads "on" as true
    assert tuple(offered) == ENVIRONMENTS
