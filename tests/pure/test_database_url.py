"""A database URL as people copy it: each form gives the same URL, or an error names the wrong part."""

from __future__ import annotations

import doctest
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict
from whatsapp_engine.process import engine_dsn
from whatsapp_pairing.core.errors import MisconfiguredError
from whatsapp_pairing.runtime import database_url as module
from whatsapp_pairing.runtime.database_url import is_transaction_pooler, normalised
from whatsapp_pairing.runtime.tls import SUPABASE_ROOTS

POOLER = "postgresql://postgres.abcd:s3cret@aws-0-eu-west-1.pooler.supabase.com:5432/postgres"
PLAIN = "postgresql://me:s3cret@db.example.com:5432/app"
# What is added to the URL of another machine that names no mode.
SAFE = f"sslmode=verify-full&sslrootcert={quote(SUPABASE_ROOTS, safe='')}"
AWKWARD = [
    "p@ss",
    "p#ss",
    "p/ss",
    "p?ss",
    "p:ss",
    "100%",
    "a b",
    "ñandú€",
    "@/#?:%",
    "a=b&c",
    "[x]",
    'q"q',
    "+",
    "p@ss/w?a=b",
]


def test_the_docstring_examples_are_true() -> None:
    results = doctest.testmod(module)
    assert (results.attempted, results.failed) == (2, 0)


@pytest.mark.parametrize(
    "text",
    [
        PLAIN, f" {PLAIN}\n", f"{PLAIN}\r\n", f"\ufeff{PLAIN}", f"\u200b{PLAIN}\u00a0", f'"{PLAIN}"', f"'{PLAIN}'\n",
        f"“{PLAIN}”", f"`{PLAIN}`", f'"{PLAIN}",', f"{PLAIN};", f'"{PLAIN}', f"{PLAIN}'",
        f'psql "{PLAIN}"', f"psql {PLAIN}", f"psql -d '{PLAIN}'", f'psql --dbname="{PLAIN}"', f'psql "{PLAIN}" -c x',
        f"DATABASE_URL={PLAIN}", f'export DATABASE_URL="{PLAIN}"', f"DIRECT_URL: {PLAIN}", f'database_url = "{PLAIN}"',
        PLAIN.replace("postgresql:", "postgres:"), PLAIN.replace("postgresql:", "POSTGRESQL:"),
        *(PLAIN.replace("postgresql:", f"postgresql+{it}:") for it in ("psycopg", "psycopg2", "asyncpg", "pg8000")),
        PLAIN.replace("/app", "/\n  app"), f"{PLAIN}/", f"{PLAIN}#note", f"{PLAIN}?",
        "jdbc:postgresql://db.example.com:5432/app?user=me&password=s3cret",
        "host=db.example.com port=5432 dbname=app user=me password=s3cret",
        "user=me\npassword='s3cret'\nhost=db.example.com\nport=5432\ndbname=app\n",
    ],
)  # fmt: skip
def test_each_copied_form_is_read_as_the_same_url(text: str) -> None:
    assert normalised(text) == f"{PLAIN}?{SAFE}"


@pytest.mark.parametrize(
    "parameter",
    [
        "pgbouncer=true", "connection_limit=1", "schema=public", "pool_timeout=0", "socket_timeout=10", "pool_size=5",
        "max_overflow=2", "pool_max_conns=10", "statement_cache_size=0", "prepared_statement_cache_size=0",
        "prepareThreshold=0", "currentSchema=public", "default_query_exec_mode=exec", "binary_parameters=yes",
        "supa=base-pooler.x", "workaround=supabase-pooler.vercel", "uselibpqcompat=true", "search_path=public",
    ],
)  # fmt: skip
def test_a_parameter_of_another_driver_is_dropped(parameter: str) -> None:
    assert normalised(f"{POOLER}?{parameter}") == f"{POOLER}?{SAFE}"
    assert normalised(f"{POOLER}?sslmode=require&amp;{parameter}&{parameter}") == f"{POOLER}?sslmode=require"


@pytest.mark.parametrize("password", AWKWARD)
@pytest.mark.parametrize("write", [str, lambda text: quote(text, safe="")], ids=["bare", "escaped"])
def test_a_password_is_kept_as_it_is(password: str, write: object) -> None:
    url = PLAIN.replace("s3cret", write(password))  # type: ignore[operator]
    for text in (url, f'psql "{url}?pgbouncer=true"'):
        if text != url and '"' in url:
            continue
        assert conninfo_to_dict(normalised(text))["password"] == password
        assert unquote(urlsplit(engine_dsn(text)).password or "") == password


@given(st.text(st.characters(exclude_characters="\0[<{$*•"), min_size=1))
@example("a%2")
def test_any_escaped_password_survives(password: str) -> None:
    url = PLAIN.replace("s3cret", quote(password.encode("utf-8", "replace"), safe=""))
    again = unquote(urlsplit(normalised(url)).password or "")
    assert again == password.encode("utf-8", "replace").decode()


def said(text: str) -> str:
    try:
        return normalised(text)
    except MisconfiguredError as error:
        return str(error)


@given(st.text())
@example("postgresql://me:s3cret@h:5432:1/app")
@example("postgresql://\ud800:s3cret@h")
def test_any_text_is_read_or_refused_with_a_sentence(text: str) -> None:
    for one in (text, f"postgresql://{text}", PLAIN + text):
        answer = said(one)
        assert answer.startswith("The database's URL ") or said(answer) == answer


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("s3cret", "does not begin with postgresql://"),
        ("postgresql//me:s3cret@h/d", "does not begin with postgresql://"),
        *(
            (f"{scheme}://me:s3cret@h/d", "does not begin with postgresql://")
            for scheme in ("mysql", "ecto", "postgis", "pgsql")
        ),
        (f"<{PLAIN}>", "does not begin with postgresql://"),
        (f"«{PLAIN}»", "does not begin with postgresql://"),
        ("https://abcd.supabase.co", "website or API"),
        ("psql -h h -p 5432 -d d -U me", "psql command with options"),
        ("Host=h;Username=me;Password=s3cret;Database=d", "Key=Value"),
        ("postgresql://me:[YOUR-PASSWORD]@h/d", "placeholder"),
        ("postgresql://me:%5BYOUR-PASSWORD%5D@h/d", "placeholder"),
        ("postgresql://me:<password>@h/d", "placeholder"),
        ("postgresql://me:your_password@h/d", "placeholder"),
        ("postgresql://me:${DB_PASSWORD}@h/d", "placeholder"),
        ("postgresql://me:****@h/d", "placeholder"),
        ("user=me password=[YOUR-PASSWORD] host=h dbname=d", "placeholder"),
        ("postgresql://postgres.[PROJECT-REF]:s3cret@h/d", "placeholder in brackets in the place of the user"),
        ("postgresql://me:s3cret@[HOST]/d", "placeholder in brackets in the place of the host"),
        (f'DATABASE_URL="{PLAIN}"\nDIRECT_URL="{PLAIN}"', "holds more than one URL"),
        ("User Id=me;Password=s3cret;Server=h", "Key=Value"),
        (f'psql {PLAIN} -c "select 1"', "a database name with a space"),
        (f"{PLAIN}\\n", "a database name with a space, a quote or a backslash"),
        ("postgresql://me:s3cret@h", "names no database"),
        ("postgresql://me:s3cret@h:5432/", "names no database"),
        ("postgresql://me:s3cret@/d", "names no host"),
        ("postgresql://db.example.com/d", "names no user"),
        ("postgresql://me:s3cret@h:port/d", "port"),
        ("postgresql://me:s3cret@h:0/d", "port"),
        ("postgresql://me:s3cret@h:65536/d", "port"),
        ("postgresql://me:s3cret@2001:db8::1:5432/d", "IPv6 address without square brackets"),
        ("postgresql://me:s3cret@2001:db8::1/d", "IPv6 address without square brackets"),
        ("postgresql://me:s3cret@h!/d", "host"),
        ("postgresql://me:s3cret@https://h/d", "from the host on"),
        ("postgresql://me:s3cret@h/d?sslmode=require&sslmode=disable", "sslmode twice"),
        ("postgresql://me:s3cret@h/d?sslmode=yes-please", "sslmode"),
        ("postgresql://me:s3cret@h/d?sslmod=require", "TLS parameter"),
        ("postgresql://me:s3cret@h/d?connect_timeout=soon", "connect_timeout"),
        ("postgresql://me:s3cret@h/d?keepalives_idle=often", "keepalives_idle"),
        ("postgresql://me:s3cret%00@h/d", "zero byte"),
        ("postgresql://me:s3cret@h/d?host=other", "host twice"),
        ("postgresql://me:s3cret%40%@h/d", "% in its password"),
        (POOLER.replace("postgres.abcd", "postgres"), "user without its project"),
    ],
)
def test_a_refusal_names_the_wrong_part_and_quotes_nothing(text: str, named: str) -> None:
    with pytest.raises(MisconfiguredError) as wrong:
        normalised(text)
    said = str(wrong.value)
    assert named in said
    assert said.startswith("The database's URL ")
    assert said.endswith(".")
    assert "s3cret" not in said
    if "placeholder" not in named and "%" not in named:
        assert "password" not in said.replace("user:password@", "")


@pytest.mark.parametrize("host", ["[2001:db8::1]", "db.example.com", "localhost", "127.0.0.1", "DB.Example.com"])
def test_a_host_may_be_a_name_or_an_address(host: str) -> None:
    url = f"postgresql://me:s3cret@{host}:5432/d"
    assert normalised(url).partition("?")[0] == url


def test_a_socket_s_folder_is_a_host_too() -> None:
    for text in ("postgresql:///d?host=/run/pg", "postgresql://%2Frun%2Fpg/d", "host=/run/pg dbname=d"):
        assert normalised(text) == "postgresql:///d?host=%2Frun%2Fpg&sslmode=disable"


def test_the_direct_server_s_user_has_no_project() -> None:
    url = "postgresql://whatsapp_api.abcd:s3cret@db.abcd.supabase.co/postgres"
    assert normalised(url) == f"{url.replace('_api.abcd', '_api')}?{SAFE}"


@pytest.mark.parametrize("host", ["aws-0-eu-west-1.pooler.supabase.com", "db.abcd.supabase.co"])
def test_the_engine_refuses_the_transaction_pooler(host: str) -> None:
    url = f"postgresql://whatsapp_engine.abcd:s3cret@{host}:6543/postgres"
    assert is_transaction_pooler(normalised(url))
    assert not is_transaction_pooler(normalised(url.replace("6543", "5432")))
    with pytest.raises(MisconfiguredError, match=r"6543.*5432") as wrong:
        engine_dsn(url)
    assert "s3cret" not in str(wrong.value)


@pytest.mark.parametrize("host", ["h", "127.0.0.1", "supabase.com.example.com", "notsupabase.com"])
def test_another_server_may_have_the_pooler_s_port(host: str) -> None:
    url = f"postgresql://me:s3cret@{host}:6543/d"
    assert not is_transaction_pooler(normalised(url))
    assert engine_dsn(url).startswith(f"{url}?")
