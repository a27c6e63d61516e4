"""`python -m infra.migrate`: its output and exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from infra.migrate.__main__ import main

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)


def test_up_makes_an_empty_database_pass_verify(database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    def run(command: str) -> tuple[int, list[str]]:
        code = main([command, "--database-url", database_url])
        return code, capsys.readouterr().out.splitlines()

    code, lines = run("status")
    assert (code, lines[0]) == (0, "pending   20250111000000_whatsapp_sessions.sql")
    code, lines = run("verify")
    assert code == 1
    assert "missing: table public.whatsapp_sessions" in lines
    code, lines = run("up")
    assert (code, lines[0]) == (0, "applied 20250111000000")
    assert run("up") == (0, ["nothing to apply"])
    code, lines = run("status")
    assert (code, lines[0]) == (0, "applied   20250111000000_whatsapp_sessions.sql")
    code, lines = run("verify")
    assert (code, len(lines)) == (0, 1)
    assert lines[0].startswith("ok: ")


def test_status_shows_changed_files_and_missing_files(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "20300101000001_theirs.sql"
    file.write_text("select 1")
    arguments = ["--database-url", database_url, "--directory", str(tmp_path)]
    assert main(["up", *arguments]) == 0
    file.write_text("select 2")
    assert main(["status", *arguments]) == 0
    assert "applied   20300101000001_theirs.sql (the file has changed since" in capsys.readouterr().out
    assert main(["status", "--database-url", database_url]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "no file   20300101000001_theirs"


def test_each_command_prints_json(migrated_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    def run(command: str) -> tuple[int, dict[str, object]]:
        code = main([command, "--json", "--database-url", migrated_url])
        return code, json.loads(capsys.readouterr().out)

    code, answer = run("verify")
    assert (code, answer["ok"], answer["findings"]) == (0, True, [])
    assert run("up") == (0, {"applied": [], "functions": [], "taken_over": [], "adopted": [], "notices": []})
    assert run("status")[1]["pending"] == []
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        connection.execute("alter table public.whatsapp_sessions disable row level security")
    code, answer = run("verify")
    finding = {"kind": "differs", "what": "row level security of public.whatsapp_sessions"}
    assert (code, answer["ok"], answer["findings"]) == (
        1,
        False,
        [finding | {"found": "disabled", "wanted": "enabled"}],
    )


def test_a_foreign_column_is_reported_and_is_no_failure(migrated_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        connection.execute("alter table public.whatsapp_sessions add column tenant int not null")
    assert main(["verify", "--database-url", migrated_url]) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("beyond: column public.whatsapp_sessions.tenant: integer not null; ")
    assert last.startswith("ok: ")


def test_the_flag_beats_the_environment(
    migrated_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", migrated_url)
    assert main(["verify"]) == 0
    assert main(["verify", "--database-url", "postgresql://postgres:s3cret@127.0.0.1:1/x"]) == 1
    printed = "".join(capsys.readouterr())
    assert "error: " in printed
    assert "s3cret" not in printed


def test_a_copied_url_serves_psycopg_and_the_engine(database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    copied = database_url.replace("postgresql://postgres@", "postgresql+psycopg://postgres:p@s/s#ñ%@")
    copied = f"psql '{copied}?pgbouncer=true&connection_limit=1&schema=public'\r\n"
    assert main(["up", "--database-url", copied]) == 0
    assert main(["verify", "--database-url", copied]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("postgresql://postgres:[YOUR-PASSWORD]@db.abcd.supabase.co:5432/postgres", "placeholder"),
        ("postgresql://postgres.abcd:s3cret@aws-0.pooler.supabase.com:6543/postgres", "port 6543"),
        ("postgresql://postgres.abcd:s3cret@aws-0.pooler.supabase.com:5432", "no database"),
    ],
)
def test_a_wrong_url_is_named_before_anything_is_tried(
    url: str, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["up", "--database-url", url]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: The database's URL ")
    assert named in line
    assert "s3cret" not in line


def test_a_missing_url_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["up"])
    assert caught.value.code == 2
    assert "give --database-url or set DATABASE_URL" in capsys.readouterr().err


def test_a_failing_file_is_named_with_exit_code_1(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "20300101000001_step.sql").write_text("select nope")
    arguments = ["--database-url", database_url, "--directory", str(tmp_path)]
    assert main(["up", *arguments]) == 1
    assert 'error: 20300101000001_step.sql: column "nope"' in capsys.readouterr().err
    assert main(["up", "--json", *arguments]) == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False


def test_a_missing_right_is_explained_without_a_stack_trace(
    migrated_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A role that may not read the record gets a message, and no stack trace."""
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        connection.execute(
            "do $$ begin if to_regrole('stranger') is null then create role stranger login; end if; end $$"
        )
    assert main(["status", "--database-url", migrated_url.replace("postgres@", "stranger@")]) == 1
    assert "permission denied" in capsys.readouterr().err


def test_the_tool_runs_as_a_module(migrated_url: str) -> None:
    command = [sys.executable, "-m", "infra.migrate", "verify", "--database-url", migrated_url]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ok: ")
