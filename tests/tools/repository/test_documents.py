"""Everything that the documents name exists."""

from __future__ import annotations

import re
from pathlib import Path

from infra.template.intrinsics import load_yaml
from tests.support.mermaid import blocks, flowchart

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text("utf-8")
LONGEST_README = 200
MIGRATIONS = "".join(path.read_text("utf-8") for path in (ROOT / "migrations").glob("*.sql"))
TEMPLATE = load_yaml((ROOT / "template.yaml").read_text("utf-8"))
RESOURCES = TEMPLATE["Resources"]
SYSTEM = flowchart(blocks(README)[0])
# Which variable of a function lets it reach which part of the diagram.
READS = {"DATABASE_SECRET_NAME": "private", "ENGINE_DATABASE_SECRET_NAME": "keys", "STATE_MACHINE_ARN": "workflow"}
NAMED = re.compile(r"`(?P<file>[\w/]+\.py)?(?:::(?P<test>test_\w+))?`")


def test_every_test_that_the_threat_table_names_exists() -> None:
    table = (ROOT / "SECURITY.md").read_text("utf-8").split("## Threats")[1]
    missing, seen, file = [], 0, ""
    for named in NAMED.finditer(table):
        file = named["file"] or file
        path = ROOT / "tests" / file
        if not path.is_file() or (named["test"] and f"def {named['test']}(" not in path.read_text("utf-8")):
            missing.append(named.group())
        seen += 1
    assert missing == []
    assert seen > 30


def test_the_deploy_guide_names_every_parameter() -> None:
    parameters = set(TEMPLATE["Parameters"])
    guide = (ROOT / "infra" / "README.md").read_text("utf-8").split("\n## Parameters")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in guide.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([A-Z]\w+)`", row)}
    assert named == parameters


def test_readme_has_at_most_200_lines() -> None:
    assert len(README.splitlines()) <= LONGEST_README


def test_readmes_diagram_has_each_function() -> None:
    assert functions() == {path.parent.name for path in ROOT.glob("functions/*/app.py")}
    assert functions() <= set(SYSTEM.names)
    assert SYSTEM.groups["calls"] | SYSTEM.groups["work"] <= functions()
    assert SYSTEM.undefined == set()
    assert SYSTEM.lonely == set()


def test_readmes_diagram_has_the_workflow_and_the_tables() -> None:
    assert SYSTEM.names["workflow"].startswith("PairingStateMachine ")
    assert RESOURCES["PairingStateMachine"]["Type"] == "AWS::Serverless::StateMachine"
    tables = re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)\.(\w+)", MIGRATIONS)
    for node, schema in {"private": "whatsapp_private", "rows": "public"}.items():
        drawn_schema, drawn = SYSTEM.names[node].split(": ")
        assert (drawn_schema, set(drawn.split(", "))) == (schema, {table for of, table in tables if of == schema})
    assert SYSTEM.names["keys"].startswith("whatsapp_engine: ")


def test_readmes_diagram_shows_who_calls_whom() -> None:
    """The diagram shows each call that the template makes possible, and no other call between these parts."""
    nodes = functions() | {"api", "workflow", "schedules", "whatsapp", "private", "keys"}
    drawn = {(source, target) for source, target in SYSTEM.each_arrow if {source, target} <= nodes}
    # The linker answers Step Functions by the task token. No property of a function in the template says so.
    assert drawn == calls() | {("linker", "workflow")}


def functions() -> set[str]:
    """The name of each function: its folder."""
    return {folder_of(name) for name in RESOURCES if RESOURCES[name]["Type"] == "AWS::Serverless::Function"}


def folder_of(resource: str) -> str:
    """The folder of a function's code. The function may be named by its alias."""
    folder = str(RESOURCES[resource.removesuffix(".Alias")]["Properties"]["CodeUri"])
    return folder.strip("/").removeprefix("functions/")


def calls() -> set[tuple[str, str]]:
    """Each caller with its callee, from the template's events, environment variables, layers and substitutions."""
    found = {("api", "authorizer")}
    for name, resource in RESOURCES.items():
        if resource["Type"] != "AWS::Serverless::Function":
            continue
        caller, properties = folder_of(name), resource["Properties"]
        kinds = {event["Type"] for event in properties.get("Events", {}).values()}
        found |= {("api", caller)} if "HttpApi" in kinds else set()
        found |= {("schedules", caller)} if "ScheduleV2" in kinds else set()
        found |= {(caller, "whatsapp")} if {"Ref": "EngineLayer"} in properties.get("Layers", []) else set()
        variables = properties.get("Environment", {}).get("Variables", {})
        found |= {(caller, folder_of(value["Ref"])) for key, value in variables.items() if key.endswith("_FUNCTION")}
        for variable, node in READS.items():
            found |= {(caller, node)} if variable in variables else set()
    given = RESOURCES["PairingStateMachine"]["Properties"]["DefinitionSubstitutions"]
    return found | {("workflow", folder_of(one["Ref"])) for key, one in given.items() if key.endswith("FunctionArn")}
