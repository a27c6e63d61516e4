"""The commands say in one sentence why TLS fails, and warn of a mode that checks less than the default."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from whatsapp_pairing.runtime import tls_faults

from infra.migrate.__main__ import main
from tests.support.certificates import Issued, authority, issue, server
from tests.support.postgres import Postgres
from tests.support.tls_proxy import in_front_of, listening

Behind = Callable[[Issued], AbstractContextManager[str]]


@pytest.fixture
def behind(postgres: Postgres, migrated_url: str, tmp_path: Path) -> Behind:
    """The migrated database's URL, with its root, through a proxy that shows a certificate."""
    root = tmp_path / "root.pem"
    root.write_text(authority().pem)

    @contextmanager
    def shown(leaf: Issued) -> Iterator[str]:
        with listening(in_front_of(postgres.port, server(tmp_path, leaf))) as port:
            there = migrated_url.replace(f"127.0.0.1:{postgres.port}", f"localhost:{port}")
            yield f"{there}?sslmode=verify-full&sslrootcert={root}"

    return shown


def test_a_checked_connection_serves_up_and_verify(behind: Behind, capsys: pytest.CaptureFixture[str]) -> None:
    with behind(issue(authority(), "x", ("localhost",))) as url:
        for command in ("up", "status", "verify"):
            assert main([command, "--database-url", url]) == 0
    told = capsys.readouterr()
    assert "warning" not in told.out + told.err


@pytest.mark.parametrize("command", ["up", "status", "verify"])
def test_a_refused_certificate_is_one_sentence(
    behind: Behind, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    with behind(issue(authority(), "x", ("localhost",), valid=(-9, -1))) as url:
        assert main([command, "--database-url", url.replace("postgres@", "postgres:s3cret@")]) == 1
    assert capsys.readouterr().err == f"error: TLS to Postgres fails, because {tls_faults.EXPIRED}.\n"


def test_a_missing_root_file_is_one_sentence(behind: Behind, capsys: pytest.CaptureFixture[str]) -> None:
    with behind(issue(authority(), "x", ("localhost",))) as url:
        assert main(["verify", "--database-url", f"{url}.gone"]) == 1
    assert capsys.readouterr().err == "error: The file that sslrootcert in the database's URL names is not there.\n"


def test_verify_says_what_the_default_would_refuse(behind: Behind, capsys: pytest.CaptureFixture[str]) -> None:
    told = f"TLS to Postgres fails, because {tls_faults.WRONG_NAME}."
    with behind(issue(authority(), "x", ("db.example.com",))) as url:
        weaker = url.replace("verify-full", "verify-ca")
        assert main(["verify", "--database-url", weaker]) == 0
        shown = capsys.readouterr()
        assert main(["verify", "--json", "--database-url", weaker]) == 0
    assert f"warning: with sslmode=verify-full, the default for every host but this machine: {told}\n" in shown.out
    assert "warning: The database's URL names sslmode=verify-ca" in shown.err
    answer = json.loads(capsys.readouterr().out)
    assert (answer["ok"], answer["tls"]) == (True, told)


def test_verify_knows_what_only_the_engine_refuses(behind: Behind, capsys: pytest.CaptureFixture[str]) -> None:
    with behind(issue(authority(), "localhost")) as url:
        assert main(["verify", "--database-url", url]) == 0
        assert tls_faults.ONLY_COMMON_NAME in capsys.readouterr().out
        assert main(["up", "--database-url", url]) == 1
    assert capsys.readouterr().err.endswith(f"TLS to Postgres fails, because {tls_faults.ONLY_COMMON_NAME}\n")


@pytest.mark.parametrize("command", ["up", "status", "verify"])
def test_a_refused_login_is_not_blamed_on_tls(behind: Behind, capsys: pytest.CaptureFixture[str], command: str) -> None:
    """The name in CN only would be a fault of TLS for the engine, but psycopg has come through TLS."""
    with behind(issue(authority(), "localhost")) as url:
        assert main([command, "--database-url", url.replace("postgres@", "nobody:s3cret@")]) == 1
    told = capsys.readouterr().err
    assert 'role "nobody" does not exist' in told
    assert "TLS to Postgres fails" not in told
    assert "s3cret" not in told
