"""A secret may hold the root of its server beside the URL. The functions then accept that server and no other."""

from __future__ import annotations

import base64
import json
import os
import stat
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import boto3
import pytest
from whatsapp_engine.process import engine_dsn
from whatsapp_pairing.core.errors import MisconfiguredError
from whatsapp_pairing.runtime import root_certificates, tls_faults
from whatsapp_pairing.runtime.root_certificates import file_with
from whatsapp_pairing.runtime.settings import Settings, settings
from whatsapp_pairing.runtime.tls import SUPABASE_ROOTS

from tests.support.certificates import Issued, authority, issue, server
from tests.support.handlers import Call, body, refused, request
from tests.support.postgres import Postgres
from tests.support.tls_proxy import in_front_of, listening

FAR = "postgresql://me:s3cret@db.example.com:5432/app"
PEM = authority().pem


def held(**secret: object) -> str:
    """Store a secret and return its name."""
    name = f"pairing/{uuid4()}/api"
    boto3.client("secretsmanager").create_secret(Name=name, SecretString=json.dumps(secret))
    return name


def root_of(url: str) -> str:
    """The file that a URL names as root."""
    return parse_qs(urlsplit(url).query)["sslrootcert"][0]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root_certificates._written.cache_clear()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def read(name: str, database: str = "DATABASE") -> str:
    """The URL of a function with this secret."""
    given = Settings({f"{database}_SECRET_NAME": name})
    return given.database_url if database == "DATABASE" else given.engine_database_url


@pytest.mark.usefixtures("aws")
def test_a_secrets_root_becomes_a_private_file() -> None:
    for database in ("DATABASE", "ENGINE_DATABASE"):
        url = read(held(url=FAR, ca=PEM), database)
        path = Path(root_of(url))
        assert root_of(engine_dsn(url)) == str(path)
        assert path.read_text() == PEM
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("query", ["", "?sslrootcert="])
def test_system_is_the_file_of_the_machines_roots(query: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The file may hold authorities that others have signed, as those of machines do."""
    file = tmp_path / "machine.pem"
    file.write_text(PEM + issue(authority("Another Root"), "Between", authority=True).pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    url = read(held(url=FAR + query, ca=" system\n"))
    assert (root_of(url), root_of(engine_dsn(url))) == (str(file), str(file))
    assert "sslmode=verify-full" in url


@pytest.mark.usefixtures("aws")
def test_an_empty_root_in_the_url_gives_way_to_the_secrets() -> None:
    url = read(held(url=f"{FAR}?sslrootcert=", ca=PEM))
    assert Path(root_of(url)).read_text() == PEM


OTHER = authority("Another Root").pem


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (PEM, PEM), (PEM.replace("\n", "\r\n"), PEM), (PEM.replace("\n", "\\n"), PEM), (PEM.replace("\n", " "), PEM),
        (f"\n\n  {PEM}", PEM), (f"# the root of 2026\n{PEM}", PEM), (PEM + OTHER, PEM + OTHER),
    ],
    ids=["plain", "Windows", "escaped", "one line", "indented", "comment", "two"],
)  # fmt: skip
def test_each_form_of_pem_is_kept_as_drivers_read_it(text: str, kept: str) -> None:
    assert Path(file_with(text, "name")).read_text() == kept


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("secret", [{"url": FAR}, {"url": FAR, "ca": None}], ids=["none", "null"])
def test_without_a_root_supabases_are_used(secret: dict[str, object]) -> None:
    assert root_of(engine_dsn(read(held(**secret)))) == SUPABASE_ROOTS


@pytest.mark.parametrize(
    ("ca", "told"),
    [
        ("", "is empty"), (" \n", "is empty"), ("\\n", "is empty"), (["s3cret"], "is not a text"), (5, "is not a text"),
        ({"pem": PEM}, "is not a text"), ("s3cret", "holds no certificate in PEM"),
        (base64.b64encode(PEM.encode()).decode(), "holds no certificate in PEM"),
        (PEM[:300], "holds a certificate that cannot be read"), (PEM[27:], "holds no certificate in PEM"),
        (PEM + PEM[:300], "holds a certificate that cannot be read"),
        (PEM.replace("MII", "AII", 1), "holds a certificate that cannot be read"),
        (PEM.replace("MII", "ñII", 1), "holds a certificate that cannot be read"),
        (issue(authority(), "localhost", ("localhost",)).pem, "no authority's"),
        (PEM + issue(None, "s3cret", ("localhost",)).pem, "no authority's"),
        (PEM + authority().key_pem, "private key"), (authority().key_pem, "private key"),
    ],
)  # fmt: skip
def test_a_root_that_cannot_be_used_is_named(ca: object, told: str) -> None:
    with pytest.raises(MisconfiguredError, match=told) as wrong:
        file_with(ca, "pairing/api")
    assert str(wrong.value).startswith('The key "ca" of the secret pairing/api ')
    assert "s3cret" not in str(wrong.value)


@pytest.mark.usefixtures("aws")
def test_two_places_for_a_root_are_refused() -> None:
    with pytest.raises(MisconfiguredError, match="keep one of the two"):
        read(held(url=f"{FAR}?sslrootcert=system", ca=PEM))


def test_a_folder_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with pytest.raises(MisconfiguredError, match="cannot be written to a file"):
        file_with(PEM, "name")


def test_a_lost_file_is_written_again() -> None:
    path = Path(file_with(PEM, "name"))
    path.unlink()
    assert file_with(PEM, "name") == str(path)
    assert path.read_text() == PEM


def test_threads_never_see_half_a_file(tmp_path: Path) -> None:
    text = "".join(authority(f"Root {number}").pem for number in range(20))

    def written(_: int) -> str:
        root_certificates._written.cache_clear()
        return Path(file_with(text, "name")).read_text()

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(written, range(200))) == {text}
    assert len(os.listdir(tmp_path)) == 1


# ── the answer of a function ──


@pytest.fixture
def status(environment: pytest.MonkeyPatch, call: Call, postgres: Postgres, world: Any, tmp_path: Path) -> Any:
    """Asks for a status, with a secret whose server shows a certificate, and whose key `ca` is this."""

    def asked(leaf: Issued, ca: str) -> Any:
        with listening(in_front_of(postgres.port, server(tmp_path, leaf))) as port:
            there = world.url.replace(f"127.0.0.1:{postgres.port}", f"localhost:{port}")
            environment.delenv("DATABASE_URL", raising=False)
            environment.setenv("DATABASE_SECRET_NAME", held(url=there, ca=ca))
            settings.cache_clear()
            return call("status", request("status", uuid4()))

    return asked


def test_a_function_connects_with_the_secrets_root(status: Callable[[Issued, str], Any]) -> None:
    assert body(status(issue(authority(), "x", ("localhost",)), PEM))["success"]


@pytest.mark.parametrize(
    ("leaf", "cause"),
    [
        (issue(authority("Another Root"), "x", ("localhost",)), tls_faults.INCOMPLETE),
        (issue(authority(), "x", ("db.example.com",)), tls_faults.WRONG_NAME),
        (issue(authority(), "x", ("localhost",), valid=(-9, -1)), tls_faults.EXPIRED),
    ],
)
def test_a_refused_server_is_an_error_with_its_cause(
    status: Callable[[Issued, str], Any],
    leaf: Issued,
    cause: str,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    answer = refused(status(leaf, PEM), 500, "internal")
    assert cause not in answer["message"]
    assert f"TLS to Postgres fails, because {cause}." in caplog.text
    capsys.readouterr()


def test_a_good_connection_makes_no_second_handshake(
    status: Callable[[Issued, str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second handshake is for failures only."""
    monkeypatch.setattr(tls_faults, "tls_fault", lambda *_: pytest.fail("a second look"))
    assert body(status(issue(authority(), "x", ("localhost",)), PEM))["success"]
