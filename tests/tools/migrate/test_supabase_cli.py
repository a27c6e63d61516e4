"""The real Supabase CLI in a product's repository: `supabase db push` still works after `up`."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from infra.migrate import MIGRATIONS, status, up, verify
from infra.migrate.bundle import write_bundle
from tests.support.migrations import query

pytestmark = pytest.mark.slow  # npm installs the CLI

LOCK = Path(__file__).with_name("supabase_cli")


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the CLI from its lock file."""
    place = tmp_path_factory.mktemp("cli") / "supabase_cli"
    shutil.copytree(LOCK, place)
    npm = shutil.which("npm")
    if npm is None and not os.environ.get("CI"):
        pytest.skip("npm is missing")
    subprocess.run([npm or "npm", "ci", "--no-audit", "--no-fund"], cwd=place, check=True, capture_output=True)
    return place / "node_modules" / ".bin" / "supabase"


@pytest.fixture
def product(tmp_path: Path) -> Path:
    """A product's repository with one migration of the product."""
    folder = tmp_path / "supabase" / "migrations"
    folder.mkdir(parents=True)
    (tmp_path / "supabase" / "config.toml").write_text('project_id = "product"\n')
    (folder / "20240101000000_first.sql").write_text("create table public.first ();")
    return tmp_path


def push(cli: Path, product: Path, url: str) -> str:
    """Push the product's migrations, and return the CLI's output."""
    with_password = url.replace("postgres@", "postgres:any@")
    done = subprocess.run(
        [cli, "db", "push", "--yes", "--workdir", product, "--db-url", f"{with_password}?sslmode=disable"],
        env={**os.environ, "DO_NOT_TRACK": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_a_product_pushes_after_up(cli: Path, product: Path, database_url: str) -> None:
    push(cli, product, database_url)
    up(database_url)
    (product / "supabase/migrations/20300101000000_second.sql").write_text("create table public.second ();")
    assert "20300101000000_second.sql" in push(cli, product, database_url)
    assert query(database_url, "select to_regclass('public.second')::text") == [("second",)]


def test_a_product_with_copies_pushes_after_up(cli: Path, product: Path, database_url: str) -> None:
    for path in MIGRATIONS.glob("*.sql"):
        shutil.copy(path, product / "supabase" / "migrations")
    up(database_url, supabase_history=True)
    (product / "supabase/migrations/20240101000000_first.sql").unlink()
    assert "up to date" in push(cli, product, database_url)


def test_copies_that_were_pushed_are_taken_over(cli: Path, product: Path, database_url: str) -> None:
    for path in MIGRATIONS.glob("*.sql"):
        shutil.copy(path, product / "supabase" / "migrations")
    push(cli, product, database_url)
    done = up(database_url, supabase_history=True)
    assert done.applied == []
    assert len(done.taken_over) == len(list(MIGRATIONS.glob("*.sql")))
    assert "up to date" in push(cli, product, database_url)


def test_a_pushed_bundle_is_all_that_is_needed(cli: Path, product: Path, database_url: str) -> None:
    """The product's first migration comes before ours, and its next migration after ours."""
    push(cli, product, database_url)
    folder = product / "supabase" / "migrations"
    write_bundle(folder)
    push(cli, product, database_url)
    assert verify(database_url) == []
    assert status(database_url).pending == []
    assert up(database_url).applied == []
    assert "up to date" in push(cli, product, database_url)
    (folder / "20300101000000_second.sql").write_text("create table public.second ();")
    assert "20300101000000_second.sql" in push(cli, product, database_url)
