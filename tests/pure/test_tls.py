"""Which mode and which root a database URL gets, and when a weaker mode is warned of."""

from __future__ import annotations

import logging
from hashlib import sha256
from pathlib import Path
from ssl import PEM_cert_to_DER_cert
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from whatsapp_engine.process import engine_dsn
from whatsapp_pairing.core.errors import MisconfiguredError
from whatsapp_pairing.runtime import tls
from whatsapp_pairing.runtime.database_url import normalised
from whatsapp_pairing.runtime.tls import MODES, SUPABASE_ROOTS, on_this_machine, warn_of_weakness, weakness

from tests.support.certificates import authority, issue

FAR = "postgresql://me:s3cret@db.example.com:5432/app"
NEAR = "postgresql://me:s3cret@localhost:5432/app"


@pytest.fixture
def root(tmp_path: Path) -> str:
    """A file with the root of an authority."""
    file = tmp_path / "my root.pem"
    file.write_text(authority().pem)
    return str(file)


def tls_of(url: str) -> tuple[str, str | None]:
    """The mode and the root that both drivers get."""
    query = parse_qs(urlsplit(normalised(url)).query)
    of_go = parse_qs(urlsplit(engine_dsn(url)).query)
    assert [of_go.get(name) for name in ("sslmode", "sslrootcert")] == [
        query.get(name) for name in ("sslmode", "sslrootcert")
    ]
    assert normalised(normalised(url)) == normalised(url)
    return query["sslmode"][0], query.get("sslrootcert", [None])[0]


def test_the_bundle_is_supabases_two_roots() -> None:
    text = Path(SUPABASE_ROOTS).read_text()
    found = [end + "-----END CERTIFICATE-----\n" for end in text.split("-----END CERTIFICATE-----\n")[:-1]]
    assert [sha256(PEM_cert_to_DER_cert(one)).digest().hex(":").upper() for one in found] == [
        "80:70:25:AD:50:D4:ED:21:9D:2C:9C:7D:29:9C:00:4F:82:4E:B0:0C:F7:F6:5A:FE:F6:07:D0:7B:72:E6:CA:FA",
        "5F:9B:77:95:1A:7A:A1:30:3F:9B:58:EE:A9:BF:A8:9E:35:8C:FD:C1:5F:97:86:FF:10:D4:93:0A:72:2C:9A:E2",
    ]


@pytest.mark.parametrize(
    "query",
    [
        "", "?ssl=true", "?ssl=1", "?tls=yes", "?ssl=on", "?ssl=required", "?requiressl=1", "?sslmode=",
        "?sslmode=true",
        "?sslmode=verify-full", "?sslmode=VERIFY-FULL", "?ssl=verify-full", "?ssl=true&sslmode=verify-full",
        "?pgbouncer=true", "?sslnegotiation=direct", "?ssl_min_protocol_version=TLSv1.3",
    ],
)  # fmt: skip
def test_a_url_without_a_mode_is_checked_in_full(query: str) -> None:
    assert tls_of(FAR + query) == ("verify-full", SUPABASE_ROOTS)
    assert weakness(normalised(FAR + query)) is None


@pytest.mark.parametrize(
    ("query", "mode"),
    [
        *((f"sslmode={mode}", mode) for mode in MODES),
        ("sslmode=REQUIRE", "require"), ("sslmode=require&sslmode=require", "require"), ("ssl=require", "require"),
        ("sslmode=no-verify", "require"), ("ssl=no-verify", "require"), ("ssl=true&sslmode=require", "require"),
        ("ssl=false", "disable"), ("tls=off", "disable"), ("ssl=false&sslmode=require", "require"),
        ("ssl=true&tls=verify-ca", "verify-ca"),
    ],
)  # fmt: skip
def test_a_named_mode_applies(query: str, mode: str) -> None:
    roots = SUPABASE_ROOTS if mode.startswith("verify-") else None
    assert tls_of(f"{FAR}?{query}") == (mode, roots)
    told = weakness(normalised(f"{FAR}?{query}"))
    assert (told is None) == (mode == "verify-full")
    if told:
        assert f"sslmode={mode} " in told
        assert "example" not in told


@pytest.mark.parametrize("query", ["", "&ssl=true", "&sslmode=require", "&sslrootcert=system", "&sslmode=verify-full"])
def test_a_unix_socket_uses_no_tls(query: str) -> None:
    url = f"postgresql:///app?host=/run/postgresql{query}"
    assert tls_of(url) == ("disable", None)
    assert weakness(normalised(url)) is None


def test_two_values_for_tls_are_refused() -> None:
    with pytest.raises(MisconfiguredError, match="TLS twice, with different values"):
        normalised(f"{FAR}?ssl=false&tls=require")


def test_a_root_is_used_in_each_mode_that_checks(root: str) -> None:
    named = root.replace(" ", "%20")
    modes = {mode: tls_of(f"{FAR}?sslmode={mode}&sslrootcert={named}") for mode in MODES}
    assert modes == {
        **{mode: (mode, None) for mode in ("disable", "allow", "prefer")},
        **dict.fromkeys(("require", "verify-ca"), ("verify-ca", root)),
        "verify-full": ("verify-full", root),
    }
    for url in (FAR, NEAR):
        assert tls_of(f"{url}?sslrootcert={named}") == ("verify-full", root)


def test_an_authority_may_stand_beside_its_root(root: str) -> None:
    Path(root).write_text(issue(authority(), "Between", authority=True).pem + PEM)
    assert tls_of(f"{FAR}?sslrootcert={quote(root)}") == ("verify-full", root)


def test_a_secrets_root_is_used_as_one_in_the_url_is(root: str) -> None:
    for url in (FAR, NEAR, f"{FAR}?sslmode=require", f"{FAR}?sslmode=prefer"):
        assert normalised(url, root) == normalised(f"{url}{'&' if '?' in url else '?'}sslrootcert={root}")
    with pytest.raises(MisconfiguredError, match="keep one of the two"):
        normalised(f"{FAR}?sslrootcert={root}", root)


def test_system_is_the_file_of_this_machines_roots(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", root)
    assert tls_of(f"{FAR}?sslrootcert=system") == ("verify-full", root)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "[::1]", "[0:0:0:0:0:0:0:1]", "/run/postgresql"]
)
def test_a_connection_within_this_machine_is_as_before(host: str) -> None:
    url = f"postgresql://me@{host}/app" if host[0] != "/" else f"postgresql:///app?host={host}"
    assert on_this_machine(host)
    assert tls_of(url) == ("disable" if host[0] == "/" else "prefer", None)
    assert weakness(normalised(url)) is None


@pytest.mark.parametrize(
    "host",
    [
        "localhost.example.com",
        "127.0.0.1.example.com",
        "10.0.0.1",
        "[::2]",
        "[2001:db8::1]",
        "my-localhost",
        "128.0.0.1",
    ],
)
def test_every_other_host_is_another_machine(host: str) -> None:
    assert tls_of(f"postgresql://me@{host}/app") == ("verify-full", SUPABASE_ROOTS)


def test_variables_of_the_environment_change_nothing(monkeypatch: pytest.MonkeyPatch, root: str) -> None:
    monkeypatch.setenv("PGSSLMODE", "disable")
    monkeypatch.setenv("PGSSLROOTCERT", root)
    assert tls_of(FAR) == ("verify-full", SUPABASE_ROOTS)


PEM = authority().pem


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "is not there"),
        ("", "is empty"),
        (" \n", "is empty"),
        ("garbage", "holds no certificate in PEM"),
        ("\x00\xff", "holds no certificate in PEM"),
        (PEM.replace("\n", "\\n"), "holds a certificate that cannot be read"),
        (PEM[:200], "holds a certificate that cannot be read"),
        (PEM + PEM[:200], "holds a certificate that cannot be read"),
        (PEM.replace("M", "N"), "holds a certificate that cannot be read"),
        (issue(authority(), "localhost", ("localhost",)).pem, "no authority's"),
        (PEM + issue(None, "localhost", ("localhost",)).pem, "no authority's"),
        (PEM + authority().key_pem, "private key"),
        (issue(authority("Another"), "Between", authority=True).pem, "without the one that has signed it"),
        (PEM + issue(authority("Another"), "Between", authority=True).pem, "without the one that has signed it"),
    ],
)
def test_a_file_that_is_no_root_is_refused_for_both(tmp_path: Path, content: str | None, told: str) -> None:
    file = tmp_path / "s3cret.pem"
    if content is not None:
        file.write_text(content, encoding="latin-1")
    for read in (normalised, engine_dsn):
        with pytest.raises(MisconfiguredError, match=told) as wrong:
            read(f"{FAR}?sslrootcert={file}")
        assert str(wrong.value).startswith("The file that sslrootcert in the database's URL names ")
        assert "s3cret" not in str(wrong.value)


@pytest.mark.parametrize("name", ["sslcert", "sslkey", "sslcrl"])
def test_another_file_that_is_missing_is_refused_for_both(name: str) -> None:
    for read in (normalised, engine_dsn):
        with pytest.raises(MisconfiguredError, match=f"The file that {name} in the database's URL names is not there"):
            read(f"{FAR}?{name}=/s3cret")


def test_a_weaker_mode_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    tls._warn.cache_clear()
    caplog.set_level(logging.WARNING)
    for _ in range(3):
        warn_of_weakness(normalised(f"{FAR}?sslmode=require"))
        engine_dsn(f"{FAR}?sslmode=require")
        engine_dsn(FAR)
        engine_dsn(NEAR)
    (line,) = caplog.messages
    assert "sslmode=require" in line
    assert "nobody checks" in line
    assert "example" not in line
