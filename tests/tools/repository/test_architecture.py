"""Everything that ARCHITECTURE.md names in code type exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
DOMAIN = ROOT / "layers" / "shared" / "whatsapp_pairing"
DOCUMENT = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
PROSE = re.sub(r"^```.*?^```$", "", DOCUMENT, flags=re.MULTILINE | re.DOTALL)
CODE = re.findall(r"`([^`\n]+)`", PROSE)
ENDINGS = "py|js|sql|json|yaml|toml|md|mk|sh"
A_PATH = re.compile(rf"\.?[\w-]+(?:/[\w.-]+)*(?:/|\.(?:{ENDINGS}))")
# The folders from which the document writes paths.
FROM = (ROOT, DOMAIN, ROOT / "functions" / "page" / "static", ROOT / "layers" / "engine" / "whatsapp_engine")
# Files that the document names without a folder, because the folder stands beside the name.
BESIDE = {
    "pairing.asl.json",
    "openapi.yaml",
    "sweeps.py",
    "session.py",
    "sessions.py",
    "test_workflow.py",
    "test_parameters.py",
}
BESIDE |= {path.name for folder in ("pairing", "keeper") for path in (DOMAIN / folder).glob("*.py")}
# Names of WhatsApp, AWS and libraries, which no file of ours needs.
OF_OTHERS = {"MAGIC", "acr_values", "whatsmeow_identity_keys"}


def test_every_path_of_the_document_exists() -> None:
    named = {name for name in CODE if A_PATH.fullmatch(name)} - BESIDE
    assert {name for name in named if not any((folder / name).exists() for folder in FROM)} == set()
    assert len(named) > 100


def test_every_module_of_a_floor_is_in_its_folder() -> None:
    floors = re.findall(r"^\| `(web|session|pairing|keeper|runtime|core)/`(.+)$", PROSE, re.MULTILINE)
    named = {(floor, name) for floor, row in floors for name in re.findall(r"`([a-z_/]+(?:\.py)?)`", row)}
    missing = {
        (floor, name)
        for floor, name in named
        if not any((folder / name).with_suffix(".py").exists() for folder in (DOMAIN, DOMAIN / floor))
    }
    assert missing == set()
    assert len(floors) == 6


def test_every_name_of_the_document_is_in_a_file() -> None:
    named = {word for name in CODE if not A_PATH.fullmatch(name) for word in re.findall(r"[A-Za-z_][\w-]{3,}", name)}
    text = "\n".join(sources())
    assert {name for name in named - OF_OTHERS if not re.search(rf"\b{re.escape(name)}", text)} == set()
    assert len(named) > 200


def test_the_times_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| ([\d.]+) \| `(\w+)/(\w+)\.py`", PROSE, re.MULTILINE)
    for name, value, folder, module in rows:
        found = getattr(import_module(f"whatsapp_pairing.{folder}.{module}"), name)
        assert (name, found) == (name, float(value))
    assert len(rows) > 10


def test_every_heading_of_a_decision_is_there_once() -> None:
    headings = re.findall(r"^#+ (.+)$", PROSE, re.MULTILINE)
    assert sorted({heading for heading in headings if headings.count(heading) > 1}) == []


def sources() -> Iterator[str]:
    """The text of every file that may define what the document names."""
    yield from (path.read_text("utf-8") for path in [*ROOT.glob("*.toml"), ROOT / "template.yaml", ROOT / "Makefile"])
    for folder in ("layers", "functions", "infra", "migrations", "tests"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in {f".{ending}" for ending in ENDINGS.split("|")} - {".md"} and path != Path(__file__):
                yield path.read_text("utf-8")
