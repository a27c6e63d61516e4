"""The check of the API reads from child.py what it needs, and names each thing that a neonize lacks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.engine_version.interface import CHILD
from infra.engine_version.needs import needs

ROOT = Path(__file__).resolve().parents[3]
_PROGRAM = """
import sys
from pathlib import Path
from infra.engine_version import interface
interface.CHILD = Path(sys.argv[1])
interface.main()
"""


def lines(child: Path) -> dict[str, tuple[bool, str]]:
    """What the check says about a child with the installed neonize."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(child)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = map(json.loads, done.stdout.splitlines())
    return {line["check"].removeprefix("API, "): (line["holds"], line["reason"]) for line in found}


def test_the_present_version_offers_all_that_child_needs() -> None:
    told = lines(CHILD)
    assert [check for check, (holds, _) in told.items() if not holds] == []
    assert len(told) == 7


def test_the_needs_are_read_from_the_source_of_child() -> None:
    found = needs(CHILD.read_text())
    assert ("gocode", "GetAllDevices") in found.attributes
    assert ("client", "log_whatsmeow") in found.attributes
    assert ("NewClient", 1, ("jid", "new_device", "props", "uuid")) in found.calls
    assert found.members == {"connect", "event", "is_connected", "logout"}
    assert found.overrides == {("_NewClient__onLoginStatus", 3)}
    assert found.fields == {"Device", "Error", "ID", "Message", "Reason", "Status"}
    assert ("neonize.events", "PairStatusEv") in found.imports


@pytest.mark.parametrize(
    ("ours", "other", "check", "told"),
    [
        (
            "    PairStatusEv,\n",
            "    PairStatusEv,\n    NewEv,\n",
            "names that we import",
            "events has no NewEv",
        ),
        ("GetAllDevices", "GetDevices", "functions and constants", "gocode has no GetDevices"),
        ("DeviceProps.CHROME", "DeviceProps.NETSCAPE", "functions and constants", "DeviceProps has no NETSCAPE"),
        ("new_device=jid", "fresh=jid", "calls", "unexpected keyword argument 'fresh'"),
        ('DeviceProps(os="', 'DeviceProps(system="', "calls", "DeviceProps has no field system"),
        ("build_jid(number, server)", "build_jid()", "calls", "build_jid does not take our arguments"),
        ("self.logout()", "self.log_off()", "members of NewClient", "NewClient has no log_off"),
        ("_NewClient__onLoginStatus(self,", "_NewClient__onLogin(self,", "private methods", "never called"),
        (
            "onLoginStatus(self, _: int,",
            "onLoginStatus(self, x: int, _: int,",
            "private methods",
            "3 parameters, not 4",
        ),
        ("status.Error", "status.Fault", "fields of messages", "no message has a field Fault"),
    ],
)
def test_a_missing_member_of_neonize_is_named(ours: str, other: str, check: str, told: str, tmp_path: Path) -> None:
    text = CHILD.read_text()
    assert ours in text
    (tmp_path / "child.py").write_text(text.replace(ours, other, 1))
    failed = {name: reason for name, (holds, reason) in lines(tmp_path / "child.py").items() if not holds}
    assert [(name.startswith(check), told in reason) for name, reason in failed.items()] == [(True, True)]


def test_an_event_must_be_one_that_go_sends(tmp_path: Path) -> None:
    text = CHILD.read_text().replace("    PairStatusEv,\n", "    PairStatusEv,\n    UnsupportedEvent,\n")
    (tmp_path / "child.py").write_text(text)
    assert lines(tmp_path / "child.py")["events"] == (False, "UnsupportedEvent is no event of the engine")
