"""The engine reaches WhatsApp through a proxy, and a proxy that refuses is named as the cause."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from whatsapp_engine.process import ProcessEngine
from whatsapp_pairing.core.engine import Event, LoggedOut, Online, Qr, Reached, Refused, Scanned, Synced, Unreachable
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.pairing.linker import link
from whatsapp_pairing.probe import probe

from infra.sandbox.process import SandboxProcess
from tests.support.forward_proxy import ForwardProxy, forwarding
from tests.support.logins import login
from tests.support.recorded_workflow import RecordedWorkflow
from tests.support.repositories import World, open_world
from tests.support.sandbox_client import SandboxClient

# The characters that Go refuses in a URL are written as they are.
USER, PASSWORD = "me|é", "p@ss:s3cret^\"<>{}|\\[] `é%~!$&'()*+,;="
LOGIN = (USER, PASSWORD)
WRITTEN = "me|é:p%40ss:s3cret^\"<>{}|\\[] `é%25~!$&'()*+,;="
EVENT_SECONDS = 60.0
LONG = 10.0**9  # by the monotonic clock: these engines need no lease

Proxies = Callable[..., ForwardProxy]


@pytest.fixture
def proxies(
    process: SandboxProcess, led: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Proxies]:  # fmt: skip
    """Start proxies in front of the sandbox. The proxy of the environment leads nowhere."""
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with ExitStack() as running:
        behind = process.engine_environment()["HTTPS_PROXY"]
        yield lambda login=None: running.enter_context(forwarding(behind, login))


@pytest.mark.parametrize("scheme", ["http", "socks5"])
@pytest.mark.parametrize("asked", [None, LOGIN], ids=["open", "password"])
def test_a_device_is_linked_and_removed_through_a_proxy(
    proxies: Proxies, migrated_url: str, sandbox: SandboxClient, number: str, scheme: str,
    asked: tuple[str, str] | None,
) -> None:  # fmt: skip
    proxy = proxies(asked)
    url = f"{scheme}://{WRITTEN + '@' if asked else ''}127.0.0.1:{proxy.port}"
    engine = ProcessEngine(lambda: login(migrated_url, "whatsapp_engine"), lambda: url)
    seen: dict[type, Event] = {}
    with engine.pair(LONG) as run:
        while not {Online, Synced} <= set(seen):
            event = run.next_event(EVENT_SECONDS)
            assert isinstance(event, Reached | Qr | Scanned | Online | Synced), event
            seen[type(event)] = event
            if isinstance(event, Qr):
                sandbox.scan(event.text, number)
    online = seen[Online]
    assert isinstance(online, Online)
    with engine.log_out(online.jid, LONG) as run:
        while (event := run.next_event(EVENT_SECONDS)) != LoggedOut():
            assert isinstance(event, Reached | Online | Synced), event
            run.confirm()
    # WhatsApp only: the database is reached without the proxy.
    assert set(proxy.targets) == {"web.whatsapp.com:443"}
    assert proxy.refused == 0


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_wrong_password_ends_the_attempt_at_once(
    proxies: Proxies, world: World, causes: list[str], scheme: str
) -> None:
    proxy = proxies(LOGIN)
    url = f"{scheme}://{WRITTEN}wr0ng@127.0.0.1:{proxy.port}"
    engine = ProcessEngine(lambda: login(world.url, "whatsapp_engine"), lambda: url)
    for _ in range(3):
        attempt = world.claim()
        ended = link(attempt, world.leases, world.session_rows, RecordedWorkflow(), engine)
        assert ended == Reason.WHATSAPP_UNREACHABLE
    assert proxy.refused == 1
    assert causes[0] == "the proxy refuses the user or the password"
    assert causes[-1].startswith(causes[0])
    assert "s3cret" not in "".join(causes)


def test_a_changed_password_of_the_proxy_is_used_at_once(proxies: Proxies, causes: list[str]) -> None:
    proxy = proxies(LOGIN)
    logins = ["me:wr0ng", WRITTEN, WRITTEN]
    engine = ProcessEngine(proxy=lambda: f"http://{logins.pop(0)}@127.0.0.1:{proxy.port}")
    with engine.pair(LONG) as run:
        assert isinstance(run.next_event(EVENT_SECONDS), Unreachable)
    with engine.pair(LONG) as run:
        assert isinstance(run.next_event(EVENT_SECONDS), Reached | Qr)
    assert proxy.refused == 1
    assert causes == ["the proxy refuses the user or the password"]


@pytest.fixture
def world(migrated_url: str) -> Iterator[World]:
    """A database of these tests."""
    yield from open_world(migrated_url)


@pytest.fixture
def other_server() -> Iterator[int]:
    """The port of a server that is no proxy: it greets and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                client.sendall(b"SSH-2.0-s3cret\r\n")
                client.recv(65536)
                client.close()

        threading.Thread(target=greet, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("403 Forbidden", "WhatsApp cannot be reached through the proxy: Forbidden"),
        ("502 Bad Gateway", "WhatsApp cannot be reached through the proxy: Bad Gateway"),
        ("599 s3cret", "WhatsApp cannot be reached through the proxy"),
    ],
)
def test_a_proxy_that_refuses_the_tunnel_is_named(proxies: Proxies, causes: list[str], status: str, told: str) -> None:
    proxy = proxies()
    proxy.status = status
    assert probe(ProcessEngine(proxy=lambda: f"http://127.0.0.1:{proxy.port}")).failure is Reason.WHATSAPP_UNREACHABLE
    assert causes == [told]


@pytest.mark.parametrize("phrase", ["Proxy Authentication required", "Unauthorized", "Authorization Needed"])
def test_a_refused_login_is_known_by_other_phrases(proxies: Proxies, causes: list[str], phrase: str) -> None:
    proxy = proxies()
    proxy.status = f"407 {phrase}"
    assert probe(ProcessEngine(proxy=lambda: f"http://127.0.0.1:{proxy.port}")).failure is Reason.WHATSAPP_UNREACHABLE
    assert causes == ["the proxy refuses the user or the password"]


@pytest.mark.usefixtures("led")
@pytest.mark.parametrize("scheme", ["http", pytest.param("socks5", marks=pytest.mark.slow)])
def test_a_proxy_that_stays_silent_is_named(causes: list[str], scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}"
        with ProcessEngine(proxy=lambda: url).pair(LONG) as run:
            assert isinstance(run.next_event(EVENT_SECONDS), Unreachable)
    assert causes == ["the proxy does not answer, or WhatsApp does not behind it"]


@pytest.mark.usefixtures("led")
@pytest.mark.parametrize("scheme", ["http", "https", "socks5"])
def test_a_proxy_that_is_not_there_is_named(causes: list[str], scheme: str) -> None:
    assert probe(ProcessEngine(proxy=lambda: f"{scheme}://127.0.0.1:1")).failure is Reason.WHATSAPP_UNREACHABLE
    assert causes == ["the proxy cannot be reached: connection refused"]


@pytest.mark.usefixtures("led")
@pytest.mark.parametrize("scheme", ["http", "https", "socks5"])
def test_a_server_that_is_no_proxy_is_named(causes: list[str], other_server: int, scheme: str) -> None:
    url = f"{scheme}://{USER}:s3cret@127.0.0.1:{other_server}"
    assert probe(ProcessEngine(proxy=lambda: url)).failure is Reason.WHATSAPP_UNREACHABLE
    (cause,) = causes
    assert "proxy" in cause
    assert "s3cret" not in cause


@pytest.mark.parametrize(
    "url",
    [
        "s3cret", "127.0.0.1:3128", "ftp://s3cret@host:1", "socks4://host:1", "http://", "http://me:s3cret@", "http://h:x",
        "http://me:p@s3cret@host:1", "http://me:s3/cret@host:1", "http://host:1/s3cret", "http://host:1?s3cret", "http://h:0",
        "http://ho st:1", "http://me:s3cret@host:99999", "postgresql://me:s3cret@host/db",
        "socks5://me:s3cret%zz@host:1", "http://me:s3cret%@host:1", "http://m%e:s3cret@host:1", "http://s3cret@[::1%eth0]:1",
        "http://[::1%25lo]:1", "http://[s3cret]:1", "http://höst:1", "http://h^st:1", "http://me:s3\ncret@host:1",
    ],
)  # fmt: skip
def test_a_wrong_proxy_url_is_named_and_not_quoted(causes: list[str], url: str) -> None:
    with ProcessEngine(proxy=lambda: url).pair(LONG) as run:
        event: Event | None = run.next_event(EVENT_SECONDS)
    assert event == Refused(Reason.WHATSAPP_UNREACHABLE)
    (cause,) = causes
    assert cause.startswith("The proxy's URL is not of the form socks5://user:password@host:port")
    assert "s3cret" not in cause


def test_whatsapp_s_own_refusal_is_not_the_proxy_s(proxies: Proxies, sandbox: SandboxClient, causes: list[str]) -> None:
    proxy = proxies()
    sandbox.set_knobs(connectFailure=503)
    assert probe(ProcessEngine(proxy=lambda: f"http://127.0.0.1:{proxy.port}")).failure is Reason.WHATSAPP_UNREACHABLE
    assert causes == []
