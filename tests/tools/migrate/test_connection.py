"""A message about a failed connection never contains the password."""

from __future__ import annotations

import psycopg
import pytest

from infra.migrate import without_password


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:p%40ss@h/d", "postgresql://h/d?user=me&password=p%40ss", "host=h user=me password=p@ss",
        "host=h user=me password='p@ss'",
    ],
)  # fmt: skip
def test_a_password_is_masked_in_every_spelling_of_its_url(url: str) -> None:
    told = without_password(psycopg.OperationalError('no user "me" with p@ss; p%40ss\n'), url)
    assert told == 'no user "me" with ***; ***'


@pytest.mark.parametrize("url", ["postgresql://me:p@[::1/d", "postgresql://me:p%4@h/d", "p@ss"])
def test_an_error_about_an_unreadable_url_is_left_out(url: str) -> None:
    told = without_password(psycopg.ProgrammingError(f'invalid URI: "{url}"'), url)
    assert told == "The database's URL cannot be read by Postgres's client."


def test_a_url_without_a_password_leaves_an_error_as_it_is() -> None:
    assert without_password(ValueError(" no *** "), "postgresql://me@h/d") == "no ***"
