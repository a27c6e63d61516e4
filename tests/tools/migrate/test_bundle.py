"""A bundle for other tools makes a complete database, file by file. Its files are never rewritten."""

from __future__ import annotations

import json
import re
from pathlib import Path

import psycopg
import pytest

from infra.migrate import MIGRATIONS, bundle, engine_sql, release, status, up, verify
from infra.migrate.__main__ import main
from infra.migrate.bundle import RECORD, VERSIONS, write_bundle, write_versions
from infra.migrate.errors import BundleRefused, NewerRelease
from infra.migrate.files import read_migrations
from infra.migrate.functions import read_functions
from tests.support.migrations import MAKE, functions, query

ENGINE = bundle.ENGINE
STATEMENT = re.compile(r"(?:\$(\w*)\$.*?\$\1\$|--[^\n]*|'[^']*'|[^;])+;", re.S)
VERSION = re.compile(r"^-- whatsmeow's tables of version (\d+),")


def apply(folder: Path, url: str) -> None:
    """Apply a folder in order of its versions, each file as one query, as psql and Flyway do."""
    with psycopg.connect(url, autocommit=True) as connection:
        for path in sorted(folder.glob("*.sql"), key=lambda path: int(path.name.partition("_")[0])):
            connection.execute(path.read_bytes())


def apply_by_statement(folder: Path, url: str) -> None:
    """Apply a folder with each statement in its own transaction, as psql does without -1."""
    with psycopg.connect(url, autocommit=True) as connection:
        for path in sorted(folder.glob("*.sql")):
            for statement in STATEMENT.finditer(path.read_text()):
                connection.execute(statement[0].encode())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of this release in a new folder. Tests only read it."""
    folder = tmp_path_factory.mktemp("bundle")
    write_bundle(folder)
    return folder


@pytest.fixture
def engine_as_it_was(monkeypatch: pytest.MonkeyPatch, made: Path) -> None:
    """Use this release's file of the engine's tables, so that no Postgres is started for it."""
    (text,) = (path.read_text() for path in made.glob(f"*_{ENGINE}.sql"))
    monkeypatch.setattr(engine_sql, "engine_file", lambda existing=(): None if existing else text)


def test_a_database_of_the_bundle_is_complete(made: Path, database_url: str) -> None:
    apply(made, database_url)
    assert verify(database_url) == []
    assert status(database_url).pending == []
    assert status(database_url).changed == []
    done = up(database_url)
    assert (done.applied, done.functions, done.adopted, done.notices) == ([], [], [], [])
    assert verify(database_url) == []


def test_a_bundle_applied_twice_changes_nothing(made: Path, database_url: str) -> None:
    apply(made, database_url)
    numbered = {migration.label for migration in read_migrations()}
    with psycopg.connect(database_url, autocommit=True) as connection:
        for path in sorted(made.glob("*.sql")):
            if path.name not in numbered:
                connection.execute(path.read_bytes())
    assert verify(database_url) == []


def test_a_bundle_applied_after_up_changes_nothing(made: Path, migrated_url: str) -> None:
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        for path in made.glob(f"*_{ENGINE}.sql"):
            connection.execute(path.read_bytes())
        (record,) = made.glob(f"*_{RECORD}.sql")
        connection.execute(record.read_bytes())
    assert verify(migrated_url) == []
    assert status(migrated_url).pending == []


def test_a_bundle_without_a_transaction_misplaces_no_table(made: Path, database_url: str) -> None:
    apply_by_statement(made, database_url)
    assert query(database_url, "select tablename from pg_tables where schemaname = 'public' order by 1") == [
        ("whatsapp_sessions",)
    ]
    assert verify(database_url) == []


def test_the_engine_finds_its_own_tables(made: Path, database_url: str, migrated_url: str) -> None:
    """The bundle's tables equal the engine's own: every column, constraint and index, and the version."""
    apply(made, database_url)
    look = """
        select table_name || column_name || data_type || is_nullable || coalesce(column_default, '')
        from information_schema.columns where table_schema = 'whatsapp_engine'
        union all select conrelid::regclass || pg_get_constraintdef(oid) from pg_constraint
        where connamespace = 'whatsapp_engine'::regnamespace
        union all select indexdef from pg_indexes where schemaname = 'whatsapp_engine'
        union all select version || '/' || compat from whatsapp_engine.whatsmeow_version order by 1"""
    assert query(database_url, look) == query(migrated_url, look)


def test_a_second_bundle_equals_the_first(made: Path, tmp_path: Path) -> None:
    again = write_bundle(made)
    assert (again.written, again.kept) == ([], sorted(path.name for path in made.iterdir()))
    elsewhere = tmp_path / "more" / "folders"
    write_bundle(elsewhere)
    assert {path.name: path.read_bytes() for path in elsewhere.iterdir()} == {
        path.name: path.read_bytes() for path in made.iterdir()
    }


def test_versions_sort_and_the_record_is_last(made: Path) -> None:
    """A later numbered file comes after the functions that an earlier release has recorded."""
    names = sorted(path.name for path in made.iterdir())
    labels = [migration.label for migration in read_migrations()]
    assert [name for name in names if name in labels] == labels
    assert names[0] == labels[0]
    assert names[-1].endswith(f"_{RECORD}.sql")
    assert all(re.match(r"\d{14}_\w+\.sql$", name) for name in names)
    functions_there = [name for name in names if name.endswith("_v1.sql")]
    assert len(functions_there) == len(read_functions(MIGRATIONS))


def test_the_recorded_versions_are_up_to_date(tmp_path: Path) -> None:
    copy = tmp_path / "bundle.json"
    copy.write_bytes(VERSIONS.read_bytes())
    assert not write_versions(copy), "run `python -m infra.migrate snapshot` and review the diff"
    assert copy.read_bytes() == VERSIONS.read_bytes()


@pytest.mark.usefixtures("engine_as_it_was")
def test_a_changed_function_becomes_one_new_file(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    files = functions(source, a_v1=MAKE.format("a_v1", 1), b_v1=MAKE.format("b_v1", 1))
    first = write_bundle(target, files).written
    functions(source, a_v1=MAKE.format("a_v1", 2))
    second = write_bundle(target, files).written
    assert [name.partition("_")[2] for name in second] == ["whatsapp_a_v1.sql", f"{RECORD}.sql"]
    assert min(second) > max(first)
    assert write_bundle(target, files).written == []
    functions(source, a_v1=MAKE.format("a_v1", 1))
    third = write_bundle(target, files).written
    assert [name.partition("_")[2] for name in third] == ["whatsapp_a_v1.sql", f"{RECORD}.sql"]
    assert min(third) > max(second)


@pytest.mark.parametrize(
    ("last", "recorded", "of_a_folder"),
    [
        ("20250115000000", "20250115000100", "20250115000001"),
        ("20250115000059", "20250115000100", "20250115000101"),
        ("20251231235959", "20260101000000", "20260101000001"),
        ("20250199000000", "20250199000001", "20250199000001"),
    ],
)
def test_a_new_version_differs_from_every_recorded_version(last: str, recorded: str, of_a_folder: str) -> None:
    assert bundle._after(["20240101000000", last, "9"]) == recorded
    assert bundle._after(["20240101000000", last, "9"], of_folder=True) == of_a_folder


@pytest.mark.usefixtures("engine_as_it_was")
def test_a_recorded_version_is_the_same_in_each_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, versions = tmp_path / "source", tmp_path / "bundle.json"
    source.mkdir()
    files = functions(source, a_v1=MAKE.format("a_v1", 1), b_v1=MAKE.format("b_v1", 1))
    monkeypatch.setattr(bundle, "MIGRATIONS", files)
    assert write_versions(versions)
    assert not write_versions(versions)
    first = set(write_bundle(tmp_path / "1", files, versions).written)
    functions(source, b_v1=MAKE.format("b_v1", 2))
    (source / "20300101000002_more.sql").write_text("create table more ()")
    assert write_versions(versions)
    second = set(write_bundle(tmp_path / "2", files, versions).written)
    changed = {name for name in first ^ second if "_v1" in name}
    assert {name.partition("_")[2] for name in changed} == {"whatsapp_b_v1.sql"}
    assert {name for name in first if "a_v1" in name} <= second
    assert set(write_bundle(tmp_path / "1", files, versions).written) == second - first
    assert max(second).endswith(f"_{RECORD}.sql")


@pytest.mark.usefixtures("engine_as_it_was")
@pytest.mark.parametrize("name", ["numbered", "engine", "record"])
def test_a_bundle_stops_at_a_file_that_differs(made: Path, tmp_path: Path, name: str) -> None:
    target = tmp_path / "target"
    target.mkdir()
    pattern = {"numbered": "*_pairing_private.sql", "engine": f"*_{ENGINE}.sql", "record": f"*_{RECORD}.sql"}[name]
    (path,) = made.glob(pattern)
    (target / path.name).write_text(path.read_text() + "-- mine\n")
    with pytest.raises(BundleRefused, match=rf"{path.name} is there with another text.*file of your own"):
        write_bundle(target)
    assert [found.name for found in target.iterdir()] == [path.name]


@pytest.mark.usefixtures("engine_as_it_was")
def test_a_bundle_stops_at_a_version_that_is_taken(tmp_path: Path) -> None:
    (tmp_path / "20250112000000_theirs.sql").write_text("select 1")
    with pytest.raises(BundleRefused, match="has the version of our 20250112000000_pairing_private"):
        write_bundle(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.usefixtures("engine_as_it_was")
def test_a_bundle_keeps_the_product_s_own_files(made: Path, tmp_path: Path) -> None:
    (tmp_path / "20240101000000_first.sql").write_text("create table first ()")
    (tmp_path / "seed.sql").write_bytes(b"\xff")
    (tmp_path / "20250112000000_pairing_private.sql").write_bytes(
        (made / "20250112000000_pairing_private.sql").read_bytes().replace(b"\n", b"\r\n")
    )
    done = write_bundle(tmp_path)
    assert done.kept == ["20250112000000_pairing_private.sql"]
    assert (tmp_path / "20240101000000_first.sql").read_text() == "create table first ()"


def test_a_newer_engine_adds_a_file_with_its_changes(made: Path, tmp_path: Path, database_url: str) -> None:
    """Tables of version 14, as neonize 0.4.3.post0 made them, get the column of version 15 and what came later."""
    for path in made.iterdir():
        text = path.read_text()
        if path.name.endswith(f"_{ENGINE}.sql"):
            old, (version,) = path.name, VERSION.findall(text)
            text = Path(__file__).with_name("engine_tables_v14.sql").read_text()
        if RECORD not in path.name:
            (tmp_path / path.name).write_text(text)
    apply(tmp_path, database_url)
    none = tmp_path / "no versions"
    done = write_bundle(tmp_path, versions=none)
    (new,) = (name for name in done.written if ENGINE in name)
    assert new > old
    assert "companion_meta_nonce" in (tmp_path / new).read_text()
    assert "CREATE TABLE whatsmeow_device" not in (tmp_path / new).read_text()
    with psycopg.connect(database_url, autocommit=True) as connection:
        for name in done.written:
            connection.execute((tmp_path / name).read_bytes())
    assert query(database_url, "select version from whatsapp_engine.whatsmeow_version") == [(int(version),)]
    assert verify(database_url) == []
    assert write_bundle(tmp_path, versions=none).written == []


def test_an_older_up_leaves_a_newer_bundle_alone(
    made: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(made, database_url)
    monkeypatch.setattr(release, "this_release", lambda: "0.0.9")
    with pytest.raises(NewerRelease):
        up(database_url)


def test_a_pushed_bundle_keeps_the_supabase_history(made: Path, database_url: str) -> None:
    """`up` without --supabase-history must not take over the records of files in the product's folder."""
    apply(made, database_url)
    query(
        database_url,
        "create schema supabase_migrations; create table supabase_migrations.schema_migrations"
        " (version text primary key, statements text[], name text)",
    )
    records = sorted(path.stem.partition("_")[::2] for path in made.iterdir())
    for version, name in records:
        query(database_url, f"insert into supabase_migrations.schema_migrations values ('{version}', null, '{name}')")
    assert up(database_url).applied == []
    assert query(database_url, "select version, name from supabase_migrations.schema_migrations order by 1") == records


@pytest.mark.usefixtures("engine_as_it_was")
def test_the_bundle_command_prints_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "target"
    assert main(["bundle", str(target)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"wrote {target / '20250111000000_whatsapp_sessions.sql'}"
    assert main(["bundle", str(target)]) == 0
    assert capsys.readouterr().out == "nothing to write\n"
    assert main(["bundle", "--json", str(target)]) == 0
    assert json.loads(capsys.readouterr().out)["written"] == []
    (target / "20250111000000_whatsapp_sessions.sql").write_text("select 1")
    assert main(["bundle", str(target)]) == 1
    assert "another text" in capsys.readouterr().err
    assert main(["bundle", str(target / "20250111000000_whatsapp_sessions.sql")]) == 1
    assert "is no folder" in capsys.readouterr().err
