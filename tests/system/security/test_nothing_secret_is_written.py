"""Pairings end in every way. Then the tests search everything that was written for every secret that existed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain

import pytest
from whatsapp_pairing.core.reasons import Reason

from infra.local.standins.database import ROLES
from tests.support.metrics import metrics_in
from tests.support.postgres import Postgres, serving
from tests.support.secret_search import Secrets, executions, logs
from tests.support.stack import RunningSystem
from tests.system.security.endings import Endings

PASSWORD = "pass-word-of-the-database"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A Postgres of these tests, so that its log has nothing of other tests."""
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def endings(server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endings]:
    """The system after every ending. Nothing runs in it any more."""
    folder = tmp_path_factory.mktemp("endings")
    url = server.url(server.create()).replace("postgres@", f"postgres:{PASSWORD}@")
    with (folder / "stderr").open("w") as stderr:
        logins = [(f"--{need}-database-url", url.replace("postgres:", f"{role}:")) for need, role in ROLES.items()]
        stack = RunningSystem(folder, "--database-url", url, *chain.from_iterable(logins), stderr=stderr)
        try:
            endings = Endings(stack, url)
            endings.drive()
            endings.learn()
            endings.secrets.add("password of the database", PASSWORD)
            yield endings
        finally:
            if stack.process.poll() is None:
                stack.stop()


@pytest.fixture(scope="module")
def written(endings: Endings, server: Postgres) -> dict[str, str]:
    """Everything that was written, by place. The system has ended, so nothing is missing."""
    stack = endings.stack
    histories = executions(stack)
    stack.stop()
    answers = {
        f"answer {number}": f"{one.status} {one.headers} {one.body!r}" for number, one in enumerate(endings.refusals)
    }
    given_up = {f"dead letter {number}": json.dumps(one) for number, one in enumerate(endings.given_up)}
    runner = {"stdout": stack.printed, "stderr": (stack.data_dir / "stderr").read_text()}
    return logs(stack) | histories | answers | given_up | runner | {"Postgres": server.log.read_text()}


def test_every_ending_happened(endings: Endings, written: dict[str, str]) -> None:
    assert endings.outcomes() == {"connected", *Reason} - {Reason.INTERNAL}
    described = [json.loads(text)[0] for place, text in written.items() if place.startswith("execution ")]
    answers = [json.loads(one["output"]).get("again", {}) for one in described]
    # A deleted user's attempt is deleted too, but not the execution.
    assert {answer.get("next", "connected") for answer in answers} == {"connected", *Reason}
    assert {one["errorType"] for one in endings.given_up} == {"UnlinkFailed"}
    assert "given up after 3 failed attempts" in written["stderr"]
    functions = {
        "authorizer",
        "connect",
        "status",
        "disconnect",
        "open_phase",
        "settle_phase",
        "linker",
        "unlink",
        "cleanup",
    }
    assert functions <= set(written)
    outcomes = {metric.of("outcome") for text in written.values() for metric in metrics_in(text)}
    assert outcomes == {None, "connected", *Reason} - {Reason.INTERNAL}


def test_nothing_secret_was_written(endings: Endings, written: dict[str, str]) -> None:
    assert endings.secrets.told(written) == []


def test_the_search_has_every_kind_of_secret(endings: Endings) -> None:
    names = " ".join(endings.secrets.names.values())
    for kind in (
        "QR", "reference of a QR", "key 2 of a QR", "task token", "part 2 of an access token", "phone number", "jid",
        "password", "whatsmeow_device.noise_key", "whatsmeow_device.identity_key", "whatsmeow_device.adv_key",
        "whatsmeow_pre_keys.key",
    ):  # fmt: skip
        assert kind in names, kind


def test_the_search_finds_a_secret_in_every_spelling() -> None:
    key = bytes(range(200, 232))
    for spelled in (key.hex(), f"\\x{key.hex()}", repr(key), json.dumps(repr(key)), json.dumps([str(key)])):
        secrets = Secrets()
        secrets.add_bytes("key", key)
        assert secrets.told({"a log": f"before {spelled} after"}), spelled
        assert secrets.told({"a log": f"before {spelled[:16]} after"}) == []
