"""The stand-ins for Supabase's objects, which the local system and the tests use."""

from __future__ import annotations

import psycopg
import pytest

from infra.postgres import SUPABASE

USER = "00000000-0000-0000-0000-000000000001"


@pytest.mark.parametrize(
    ("claims", "found"),
    [
        (f'{{"sub": "{USER}", "role": "authenticated"}}', (USER, "authenticated", USER)),
        ("", (None, None, None)),
        ("{}", (None, None, None)),
    ],
)
def test_the_stand_in_reads_the_claims_of_a_token(database_url: str, claims: str, found: tuple[object, ...]) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("set local role authenticated")
        connection.execute("select set_config('request.jwt.claims', %s, true)", (claims,))
        row = connection.execute("select auth.uid()::text, auth.role(), auth.jwt() ->> 'sub'").fetchone()
    assert row == found


def test_the_stand_in_accepts_missing_claims(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        assert connection.execute("select auth.uid()").fetchone() == (None,)


def test_the_stand_in_applied_twice_changes_nothing(migrated_url: str) -> None:
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        connection.execute("insert into auth.users (id) values (%s)", (USER,))
        connection.execute(SUPABASE.read_bytes())
        assert connection.execute("select count(*) from auth.users").fetchone() == (1,)


def test_a_real_supabase_is_left_alone(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("comment on schema auth is null; drop function auth.jwt() cascade")
        connection.execute(SUPABASE.read_bytes())
        assert connection.execute("select to_regprocedure('auth.jwt()')").fetchone() == (None,)
