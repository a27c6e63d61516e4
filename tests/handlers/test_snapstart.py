"""An instance that SnapStart restores has no connection, secret, key or random number of its snapshot.

These tests take no snapshot. They run the hooks as AWS's runtime client does before and after one. The
test's process stands for the instance.
"""

from __future__ import annotations

import ast
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
import snapshot_restore_py
from awslambdaric.lambda_runtime_hooks_runner import run_after_restore, run_before_snapshot
from whatsapp_pairing.pairing.services import services
from whatsapp_pairing.runtime import instance, secrets
from whatsapp_pairing.runtime.settings import settings

from tests.support.asked_passwords import UrlSecret
from tests.support.handlers import ROOT, Context, body, event, load, request
from tests.support.jwks import Project, served
from tests.support.logins import backend, login
from tests.support.stack import PATIENCE_SECONDS

# Caches that need no hook.
STAY = {
    "layers/shared/whatsapp_pairing/runtime/settings.py::settings",  # the environment of a version does not change
    "layers/shared/whatsapp_pairing/runtime/instance.py::database",  # its own hook also closes the connection
    "functions/page/app.py::_files",  # files of the function's own code
    "layers/shared/whatsapp_pairing/runtime/root_certificates.py::_read",  # depends on its argument only
    "layers/shared/whatsapp_pairing/runtime/root_certificates.py::_written",  # it looks whether its file is there
    "layers/shared/whatsapp_pairing/runtime/tls.py::_warn",  # the warning stands in the log already
    # These three functions have no SnapStart.
    "functions/linker/app.py::engine",
    "functions/unlink/app.py::engine",
    "functions/probe/app.py::engine",
}


@pytest.fixture(autouse=True)
def registered() -> Iterator[list[Any]]:
    """The hooks after a restore. AWS's runner empties the list of those before a snapshot, so put them back."""
    before, after = snapshot_restore_py.get_before_snapshot(), snapshot_restore_py.get_after_restore()
    kept = list(before), list(after)
    yield after
    before[:], after[:] = kept
    if instance.database.cache_info().currsize:
        instance.database().close()
    for cached in (instance.database, services, secrets._secrets):
        cached.cache_clear()


@pytest.fixture
def secret(world: Any, environment: pytest.MonkeyPatch) -> UrlSecret:
    """The secret of the API's role. The URL's application_name shows which version of the secret a connection has."""
    secret = UrlSecret(named(world, "snapshot"))
    environment.delenv("DATABASE_URL")
    environment.setenv("DATABASE_SECRET_NAME", secret.name)
    settings.cache_clear()
    for cached in (instance.database, services, secrets._secrets):
        cached.cache_clear()
    return secret


def named(world: Any, name: str) -> str:
    """The API's URL with this application_name."""
    return f"{login(world.url, 'whatsapp_api')}?application_name={name}"


def connections(world: Any, name: str) -> int:
    """How many connections of this application_name the server has."""
    found: int = world.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", name)
    return found


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(params=["status", "connect"])
def function(request: pytest.FixtureRequest) -> tuple[str, ModuleType]:
    """A function of the API, loaded as on Lambda."""
    path = ROOT / "functions" / request.param / "app.py"
    return request.param, load(path, f"tests_snapstart_{request.param}")


def test_a_restored_instance_reads_its_secret_and_connects_anew(
    world: Any, secret: UrlSecret, function: tuple[str, ModuleType], user: UUID
) -> None:
    name, module = function
    assert body(module.handler(request(name, user), Context()))["success"]
    assert connections(world, "snapshot") == 1

    run_before_snapshot()
    world.value(
        "SELECT count(pg_terminate_backend(pid, 60000)) FROM pg_stat_activity WHERE application_name = 'snapshot'"
    )
    assert not secrets._secrets.cache_info().currsize
    secret.put(named(world, "restored"))

    run_after_restore()
    assert body(module.handler(request(name, user), Context()))["success"]
    assert connections(world, "restored") == 1
    assert connections(world, "snapshot") == 0


def test_the_snapshot_holds_no_connection(world: Any, secret: UrlSecret) -> None:
    del secret  # its fixture sets the environment
    instance.database().run(backend)
    assert connections(world, "snapshot") == 1
    run_before_snapshot()
    assert instance.database.cache_info().currsize == 0
    until(lambda: connections(world, "snapshot") == 0)


def test_a_restored_instance_drops_a_connection_of_the_snapshot(world: Any, secret: UrlSecret) -> None:
    """Code that opens a connection after the hooks ran would leave it in the snapshot."""
    run_before_snapshot()
    first = instance.database().run(backend)
    secret.put(named(world, "restored"))
    run_after_restore()
    assert instance.database().run(backend) != first
    assert connections(world, "restored") == 1


def test_restored_instances_choose_different_random_numbers() -> None:
    run_before_snapshot()
    state, chosen = random.getstate(), []
    for _ in range(2):
        random.setstate(state)
        run_after_restore()
        chosen.append(random.random())
    assert chosen[0] != chosen[1]


def test_a_restored_authorizer_asks_for_the_keys_anew(environment: pytest.MonkeyPatch) -> None:
    with served(Project()) as project:
        environment.setenv("SUPABASE_URL", project.url)
        settings.cache_clear()
        module = load(ROOT / "functions" / "authorizer" / "app.py", "tests_snapstart_authorizer")
        asked = event("authorizer")
        asked["headers"]["authorization"] = f"Bearer {project.token()}"
        assert module.handler(asked, Context())["context"]["userId"] == str(project.user)
        project.keys.clear()  # the project withdraws its keys
        assert "userId" in module.handler(asked, Context())["context"]
        run_before_snapshot()
        run_after_restore()
        assert module.handler(asked, Context())["context"] == {"refused": "unknown_key"}


def test_every_cache_of_a_function_is_emptied_or_named() -> None:
    """A cache that is neither registered for SnapStart nor named in STAY would keep values of the snapshot."""
    forgotten = set()
    for folder in ("layers/shared", "functions"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text()
            for node in ast.walk(ast.parse(text)):
                cached = isinstance(node, ast.FunctionDef) and "cache" in map(ast.unparse, node.decorator_list)
                if cached and f"forget({node.name}.cache_clear)" not in text:
                    forgotten.add(f"{path.relative_to(ROOT)}::{node.name}")
    assert forgotten == STAY


def test_a_machine_without_aws_s_module_needs_no_hooks() -> None:
    program = "import sys; sys.modules['snapshot_restore_py'] = None; import whatsapp_pairing.runtime.instance"
    environment = {"PYTHONPATH": str(ROOT / "layers" / "shared")}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
