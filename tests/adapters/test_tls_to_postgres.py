"""Both drivers refuse the same servers, and each refusal names its cause in one sentence."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from whatsapp_engine.process import ProcessEngine
from whatsapp_pairing.core.engine import DatabaseFailed
from whatsapp_pairing.core.errors import DatabaseUnavailable, MisconfiguredError
from whatsapp_pairing.runtime import tls_faults
from whatsapp_pairing.runtime.database import Database
from whatsapp_pairing.runtime.tls import MODES

from infra.migrate.connection import connected, readable
from infra.migrate.default_tls import refusal_by_default
from infra.migrate.engine_tables import run_engine
from infra.migrate.errors import NotReachable
from tests.support.certificates import Issued, asking, authority, issue, server
from tests.support.logins import backend
from tests.support.postgres import Postgres
from tests.support.tls_cases import CASES, STRANGE_SERVERS, Case
from tests.support.tls_postgres import TlsPostgres, serving_tls
from tests.support.tls_proxy import in_front_of, listening

Serve = Callable[[Case], AbstractContextManager[int]]
ENGINE_SECONDS = 60.0


@pytest.fixture(scope="module")
def tls_postgres() -> Iterator[TlsPostgres]:
    """A Postgres with TLS compiled in."""
    with serving_tls() as server:
        yield server


@pytest.fixture(params=["proxy", pytest.param("postgres", marks=pytest.mark.slow)])
def serve(request: pytest.FixtureRequest, postgres: Postgres, tmp_path: Path) -> Serve:
    """Serve a case by a TLS proxy, or by a Postgres with TLS. The value is the port."""
    if request.param == "postgres":
        real: TlsPostgres = request.getfixturevalue("tls_postgres")
        return lambda case: real.showing(*case.chain())
    return lambda case: listening(in_front_of(postgres.port, server(tmp_path, *case.chain())))


@pytest.fixture(scope="session", autouse=True)
def _schema_of_the_engine(postgres: Postgres) -> None:
    with postgres.connect() as connection:
        connection.execute("create schema if not exists whatsapp_engine")


@contextmanager
def url_of(case: Case, serve: Serve, folder: Path) -> Iterator[str]:
    """The URL of the case's server, with its root."""
    root = folder / "root.pem"
    root.write_text(case.root())
    with serve(case) as port:
        yield url(case.host, port, root)


def url(host: str, port: int, root: Path) -> str:
    """A URL that is checked in full, as the default is for another machine."""
    return f"postgresql://postgres@{host}:{port}/postgres?sslmode=verify-full&sslrootcert={quote(str(root))}"


def said_by_psycopg(url: str) -> str | None:
    """What a function says that cannot connect, and whether another try may help; None if it connects."""
    database = Database(lambda: url)
    try:
        assert database.run(backend)
    except MisconfiguredError as error:
        return str(error)
    except DatabaseUnavailable as error:
        return f"{error} Try again."
    finally:
        database.close()
    return None


def said_by_migrations(url: str) -> str | None:
    """What a command of infra.migrate says that cannot connect; None if it connects."""
    try:
        with connected(readable(url)):
            return None
    except NotReachable as error:
        return str(error)


def said_by_the_engine(url: str) -> str | None:
    """What the engine says that cannot open its database; None if it opens it."""
    with ProcessEngine(lambda: url).pair(time.monotonic() + ENGINE_SECONDS) as run:
        event = run.next_event(ENGINE_SECONDS)
        if isinstance(event, DatabaseFailed):
            assert not event.passes
            return event.why + "."
    return None


def one_sentence(cause: str) -> str:
    """The sentence of a cause, which is alike for all."""
    return f"TLS to Postgres fails, because {cause}."


@pytest.mark.parametrize("name", CASES)
def test_each_driver_names_the_cause(serve: Serve, name: str, tmp_path: Path) -> None:
    case = CASES[name]
    with url_of(case, serve, tmp_path) as url:
        told = one_sentence(case.cause) if case.cause else None
        of_libpq = None if case.libpq_connects else told
        assert (said_by_psycopg(url), said_by_migrations(url)) == (of_libpq, of_libpq)
        if told:
            assert said_by_the_engine(url) == told
        else:
            run_engine(url, "")


@pytest.mark.parametrize("mode", MODES[:-1])
def test_a_weaker_mode_applies_if_it_is_named(serve: Serve, mode: str, tmp_path: Path) -> None:
    with url_of(CASES["wrong name"], serve, tmp_path) as url:
        weaker = url.replace("verify-full", mode)
        if mode == "require":  # with a root, the chain would be checked
            weaker = weaker.partition("&")[0]
        assert (said_by_psycopg(weaker), said_by_migrations(weaker)) == (None, None)
        run_engine(weaker, "")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PGHOSTADDR", "127.0.0.2"), ("PGGSSENCMODE", "require"), ("PGCHANNELBINDING", "require"),
        ("PGREQUIREAUTH", "scram-sha-256"), ("PGSERVICE", "s3cret"), ("PGTARGETSESSIONATTRS", "standby"),
        ("PGSSLCERTMODE", "require"), ("PGSSLNEGOTIATION", "direct"), ("PGSSLMAXPROTOCOLVERSION", "TLSv1"),
        ("PGOPTIONS", "-c search_path=elsewhere"), ("PGCONNECT_TIMEOUT", "soon"), ("PGSSLCERT", "/s3cret"),
    ],
)  # fmt: skip
def test_no_variable_changes_what_the_url_says(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with url_of(CASES["right"], serve, tmp_path) as url:
        for said_by in (said_by_psycopg, said_by_migrations):
            monkeypatch.setenv(name, value)
            assert said_by(url) is None
        monkeypatch.setenv(name, value)
        run_engine(url, "")


def test_a_server_without_tls_is_named(postgres: Postgres, tmp_path: Path) -> None:
    root = tmp_path / "root.pem"
    root.write_text(CASES["right"].root())
    there, told = url("127.0.0.1", postgres.port, root), one_sentence(tls_faults.NO_TLS)
    for refused in (there, there.replace("verify-full", "verify-ca"), there.partition("?")[0] + "?sslmode=require"):
        assert [said_by_psycopg(refused), said_by_migrations(refused), said_by_the_engine(refused)] == [told] * 3


@pytest.mark.parametrize(
    "name", [name if name != "hangs" else pytest.param(name, marks=pytest.mark.slow) for name in STRANGE_SERVERS]
)
def test_a_server_that_is_no_postgres_is_named(name: str, tmp_path: Path) -> None:
    answer, cause = STRANGE_SERVERS[name]
    root = tmp_path / "root.pem"
    root.write_text(CASES["right"].root())
    with listening(answer) as port:
        there, told = url("localhost", port, root) + "&connect_timeout=2", one_sentence(cause)
        passing = (tls_faults.CUT, tls_faults.SILENT, tls_faults.NOT_NOW)
        again = " Try again." if cause in passing else ""
        assert said_by_psycopg(there) == told + again
        assert [said_by_migrations(there), said_by_the_engine(there)] == [told] * 2


@pytest.mark.parametrize(
    ("newest", "cause"),
    [(ssl.TLSVersion.TLSv1_3, tls_faults.ASKS_FOR_CERTIFICATE), (ssl.TLSVersion.TLSv1_2, tls_faults.NO_AGREEMENT)],
)
def test_a_server_that_asks_for_a_certificate_is_named(
    postgres: Postgres, tmp_path: Path, newest: ssl.TLSVersion, cause: str
) -> None:
    """A right certificate lets both drivers in. For a wrong one, the server is named as the one that refuses."""
    root = tmp_path / "root.pem"
    root.write_text(authority().pem)
    tls = asking(server(tmp_path, *CASES["right"].chain()), newest)
    with listening(in_front_of(postgres.port, tls)) as port:
        there = url("localhost", port, root)
        for refused in (there, there.partition("?")[0] + "?sslmode=require"):
            told = one_sentence(cause)
            assert [said_by_psycopg(refused), said_by_migrations(refused), said_by_the_engine(refused)] == [told] * 3
        known = there + _client_certificate(tmp_path, issue(authority(), "postgres"))
        assert (said_by_psycopg(known), said_by_migrations(known)) == (None, None)
        run_engine(known, "")
        unknown = there + _client_certificate(tmp_path, issue(authority("Another Root"), "postgres"))
        told = one_sentence(tls_faults.REFUSES_CERTIFICATE)
        assert [said_by_psycopg(unknown), said_by_migrations(unknown), said_by_the_engine(unknown)] == [told] * 3


def _client_certificate(folder: Path, issued: Issued) -> str:
    """Write a client's files. Return the URL's parameters that name them."""
    for name, text in {"crt": issued.pem, "key": issued.key_pem}.items():
        file = folder / f"client.{name}"
        file.write_text(text)
        file.chmod(0o600)
    return f"&sslcert={quote(str(folder / 'client.crt'))}&sslkey={quote(str(folder / 'client.key'))}"


def test_a_second_look_is_limited_in_time(tmp_path: Path) -> None:
    root = tmp_path / "root.pem"
    root.write_text(CASES["right"].root())
    with listening(STRANGE_SERVERS["hangs"][0]) as port:
        assert tls_faults.tls_fault(url("localhost", port, root), 0.2) == tls_faults.TlsFault(tls_faults.SILENT, True)


def test_verify_tries_the_default_before_the_upgrade(serve: Serve, tmp_path: Path) -> None:
    for name in ("right", "wrong CA", "wrong name", "expired", "name in CN only"):
        case = CASES[name]
        with url_of(case, serve, tmp_path) as strict:
            for mode in ("verify-full", "verify-ca"):
                told = refusal_by_default(readable(strict.replace("verify-full", mode)))
                assert told == (one_sentence(case.cause) if case.cause else None)
            # Without a root, the URL is checked against Supabase's.
            without_root = readable(strict.partition("?")[0] + "?sslmode=require")
            assert "unknown authority" in (refusal_by_default(without_root) or "")
            assert refusal_by_default(readable(strict.partition("?")[0])) is None  # as before, on this machine
