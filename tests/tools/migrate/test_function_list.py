"""migrations/functions/README.md agrees with the file of each database function."""

from __future__ import annotations

import json
import re
from pathlib import Path

from infra.migrate.expected import SNAPSHOT
from tests.support.stack import ROOT

FOLDER = ROOT / "migrations" / "functions"
README = (FOLDER / "README.md").read_text("utf-8")
FILES = {path.stem: path.read_text("utf-8") for path in sorted(FOLDER.glob("*.sql"))}
NAMES = {"whatsapp_api": "API", "whatsapp_worker": "worker"}


def part(header: str, name: str) -> str:
    """Return the first sentence of a part of a header, such as "Locks"."""
    found = re.search(rf"^{name}: (.*?)\.(?:\s|\Z)", header, re.MULTILINE | re.DOTALL)
    assert found, name
    return " ".join(found[1].split())


def row(name: str) -> str:
    """Return the row that the README's table must have, from the function's file."""
    text = FILES[name]
    comments, _, body = text.partition("CREATE OR REPLACE FUNCTION")
    header = re.sub(r"^-- ?", "", comments, flags=re.MULTILINE)
    does = " ".join(re.split(r"\.\s", header, maxsplit=1)[0].split())
    granted = re.search(r"^GRANT EXECUTE ON FUNCTION .*?TO ([^;]*);", text, re.MULTILINE | re.DOTALL)
    logins = [NAMES[role] for role in re.split(r",\s*", granted[1]) if role in NAMES] if granted else []
    if not logins:
        call = re.compile(rf"whatsapp_private\.{name}\(")
        logins = [f"`{other}`" for other, code in FILES.items() if other != name and call.search(code)]
    if "EXECUTE FUNCTION" in body:
        logins.append("trigger")
    cells = (f"`{name}`", ", ".join(logins), does, part(header, "Locks"), part(header, "Writes"))
    return f"| {' | '.join(cells)} |"


def test_each_function_has_the_row_that_its_file_gives() -> None:
    missing = [row(name) for name in FILES if README.count(row(name)) != 1]
    assert missing == [], "put these rows into the tables of migrations/functions/README.md"
    rows = re.findall(r"^\| `(\w+_v\d+)` \|", README, re.MULTILINE)
    assert sorted(rows) == sorted(FILES), "a row without a file"


def test_functions_of_numbered_files_are_named_too() -> None:
    facts = json.loads(SNAPSHOT.read_text("utf-8"))
    functions = {
        match[1]
        for group in facts.values()
        for name in group
        if (match := re.match(r"function whatsapp_private\.(\w+)\(", name))
    }
    rows = re.findall(r"^\| `(\w+)` \| `(\d{14})", README, re.MULTILINE)
    assert {name for name, _ in rows} == functions - set(FILES)
    for name, version in rows:
        (file,) = Path(ROOT / "migrations").glob(f"{version}_*.sql")
        assert f"FUNCTION whatsapp_private.{name}(" in file.read_text("utf-8")


def test_functions_of_the_tables_owner_are_named() -> None:
    section = README.split("## Functions of the tables' owner")[1].split("\n## ")[0]
    named = set(re.findall(r"`(\w+_v\d+)`", section))
    assert named == {name for name, text in FILES.items() if "OWNER TO whatsapp_functions" not in text}


def test_each_statement_that_deletes_keys_is_named() -> None:
    section = README.split("## Who deletes keys and bindings")[1].split("\n## ")[0]
    places = [*FOLDER.glob("*.sql"), *(ROOT / "layers").rglob("*.py")]
    deletes = re.compile(r"DELETE FROM (?:whatsapp_engine\.|whatsapp_private\.devices\b)", re.IGNORECASE)
    found = {path for path in places if deletes.search(path.read_text("utf-8"))}
    assert {path.stem for path in found} == {path.stem for path in places if f"`{path.name}`" in section}
