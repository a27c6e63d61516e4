"""Starts all parts of the local system in the right order, and ends them in the reverse order."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import resource
import socket
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from secrets import token_urlsafe
from typing import TypeVar

from infra.children import ChildGuard
from infra.errors import ToolError
from infra.local import logs
from infra.local.aws.schedules import Scheduler
from infra.local.aws.step_functions import AwsServices
from infra.local.functions.instances import Instance, instance_environment
from infra.local.functions.interpreters import Interpreter, from_build, from_source
from infra.local.functions.invoker import Invoker
from infra.local.functions.pool import FunctionPool
from infra.local.functions.runtime_api import RuntimeApi
from infra.local.gateway.httpserver import bind, is_loopback, own_url
from infra.local.gateway.server import Gateway, HttpServer
from infra.local.options import Options
from infra.local.standins import database
from infra.local.standins.datadir import DataDir
from infra.local.standins.developer_paths import DeveloperPaths
from infra.local.standins.supabase_auth import SupabaseAuth
from infra.local.standins.whatsapp import Sandbox, SandboxControl, WhatsApp, external_whatsapp, real_whatsapp
from infra.postgres.server import EmbeddedPostgres
from infra.template.reading import read_template
from infra.template.stack_definition import ENGINE_LAYER, Function, StackDefinition

logger = logging.getLogger(__name__)

T = TypeVar("T")

DATABASE_SECRETS = "DatabaseSecretName"
PROXY_SECRET = "WhatsAppProxy"

# The local system has no limits, unless one of these parameters is given. A test or a developer may send many requests.
LIMITS = {"ApiRate", "ApiBurst", "ConnectRate", "ConnectBurst"}

# The functions that delete sessions or the keys of a device.
DELETING = {"CleanupFunction", "DisconnectFunction", "UnlinkFunction"}


async def run(options: Options, caller: Mapping[str, str]) -> None:
    """Run until cancelled.

    Parameters
    ----------
    options
        The command line.
    caller
        The caller's environment. It may hold the proxy for the real WhatsApp.

    Raises
    ------
    ToolError
        The person at the terminal can solve the problem.
    """
    started = time.monotonic()
    async with AsyncExitStack() as resources:
        data = resources.enter_context(DataDir(options.data_dir))
        listening = resources.enter_context(bind(options.host, options.port))
        url = own_url(listening)
        python = from_build(options.built, options.built_python) if options.built else from_source()
        stack = _read(options, url)
        runner = _Runner(options, caller, stack, python, data, url, resources)
        await runner.start(listening)
        try:
            print(f"ready {url}", flush=True)
        except OSError as error:
            raise ToolError(f"cannot write to standard output: {error.strerror}") from error
        logger.info("started in %.1f s; logs are in %s", time.monotonic() - started, data.logs)
        await asyncio.Event().wait()


class _Runner:
    """Starts the parts of one run. It puts the end of each part on `resources`."""

    def __init__(
        self,
        options: Options,
        caller: Mapping[str, str],
        stack: StackDefinition,
        python: Interpreter,
        data: DataDir,
        url: str,
        resources: AsyncExitStack,
    ) -> None:
        self._options = options
        self._caller = caller
        self._stack = stack
        self._python = python
        self._data = data
        self._url = url
        self._resources = resources
        _raise_file_limit()
        self._guard = ChildGuard()
        resources.callback(self._guard.close)

    async def start(self, listening: socket.socket) -> None:
        """Start everything. From then on, requests are answered."""
        self._in_background(logs.keep_short(self._data.logs))
        # Postgres, moto and the sandbox start slowly, so they start at the same time.
        given = self._options.database_url
        embedded = self._start_postgres() if given is None else None
        services = self._in_thread(AwsServices)
        whatsapp = await self._start_whatsapp()
        aws = await asyncio.shield(services)
        self._resources.push_async_callback(asyncio.to_thread, aws.stop)
        database_url = await asyncio.shield(embedded) if embedded else str(given)
        await asyncio.to_thread(self._prepare_database, database_url, whatsapp)

        invoker = await self._start_functions(aws.url, whatsapp)
        secrets: dict[str, str] = {}
        if prefix := self._stack.parameters.get(DATABASE_SECRETS):
            urls = await asyncio.to_thread(database.login_urls, database_url, self._options.login_urls)
            secrets = {f"{prefix}/{login}": json.dumps({"url": url}) for login, url in urls.items()}
        secrets |= self._proxy_secret(whatsapp)
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(aws.start, self._stack.state_machines, secrets, invoker, loop)

        scheduler = Scheduler(self._stack.schedules, invoker.invoke_later)
        password = None if is_loopback(listening) else token_urlsafe(12)
        local = await self._developer_paths(database_url, invoker, whatsapp, aws.url, password)
        limits = self._stack.limits if LIMITS & self._options.parameters.keys() else None
        server = HttpServer(Gateway(self._stack, invoker, local.answer, limits).answer)
        self._resources.push_async_callback(server.stop)
        await server.start(listening)
        self._resources.push_async_callback(scheduler.stop)
        scheduler.start()
        if password is not None:
            logger.info("other machines reach this port; /dev/ asks for this password (any user name): %s", password)

    def _proxy_secret(self, whatsapp: WhatsApp) -> dict[str, str]:
        """Return the secret that the parameter names. It holds the proxy that this run uses anyway."""
        name = self._stack.parameters.get(PROXY_SECRET)
        if not name:
            return {}
        url = whatsapp.environment.get("HTTPS_PROXY")
        if url is None:
            raise ToolError(f"the parameter {PROXY_SECRET} needs a proxy here: set HTTPS_PROXY")
        return {name: json.dumps({"url": url})}

    def _in_background(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._resources.callback(task.cancel)

    def _in_thread(self, work: Callable[[], T], end: Callable[[], None] | None = None) -> asyncio.Task[T]:
        task = asyncio.create_task(asyncio.to_thread(work))

        async def finish() -> None:
            # A thread cannot be cancelled. So wait until it has started its part, and end the part then.
            with contextlib.suppress(Exception):
                await asyncio.shield(task)
            if end is not None:
                await asyncio.to_thread(end)

        self._resources.push_async_callback(finish)
        return task

    def _start_postgres(self) -> asyncio.Task[str]:
        if self._caller.get("DATABASE_URL"):
            logger.info("DATABASE_URL is set but not used; --database-url chooses a database")
        folder = self._data.postgres(self._options.whatsapp)
        logger.info("the database is the embedded Postgres on 127.0.0.1, in %s", folder)
        postgres = EmbeddedPostgres(folder, self._data.logs / "postgres.log", self._guard)
        return self._in_thread(postgres.start, postgres.stop)

    def _prepare_database(self, url: str, whatsapp: WhatsApp) -> None:
        if self._options.database_url is not None:
            logger.info("the database is on %s", database.host(url))
        database.prepare(url, whatsapp.id, embedded=self._options.database_url is None)

    async def _start_whatsapp(self) -> WhatsApp:
        options = self._options
        if options.whatsapp == "live":
            return real_whatsapp(self._caller)
        if options.whatsapp == "external":
            return external_whatsapp(options.whatsapp_proxy, options.whatsapp_ca, options.whatsapp_root)
        process = Sandbox(self._data.sandbox, self._guard)
        whatsapp = await asyncio.shield(self._in_thread(process.start, process.stop))
        logger.info("the sandbox's HTTP control is at %s", whatsapp.control_url)
        return whatsapp

    async def _start_functions(self, aws_url: str, whatsapp: WhatsApp) -> Invoker:
        api = RuntimeApi()
        self._resources.push_async_callback(api.shutdown)
        # Loading a function keeps a core busy. More loads than cores would only slow each other down.
        slots = asyncio.Semaphore(max(2, os.cpu_count() or 1))

        def make_pool(function: Function) -> FunctionPool:
            extra = {"AWS_ENDPOINT_URL": aws_url}
            if any(layer.logical_id == ENGINE_LAYER for layer in function.layers):
                extra |= whatsapp.environment
            environment = instance_environment(function, self._python, extra)
            log = self._data.logs / f"{function.short_name}.log"

            def make(idle: Callable[[Instance], None], end: Callable[[Instance], None]) -> Instance:
                return Instance(function, self._python, environment, log, api, self._guard, idle, end)

            return FunctionPool(function, make, slots)

        withheld: set[str] = set()
        if self._options.database_url is not None and not self._options.may_delete:
            withheld = DELETING & self._stack.functions.keys()
            logger.info(
                "these functions do not run on this database: %s (--may-delete allows them)",
                ", ".join(sorted(withheld)),
            )
        invoker = Invoker(self._stack.functions, make_pool, withheld)
        self._resources.push_async_callback(invoker.close)
        invoker.start_housekeeping()
        return invoker

    async def _developer_paths(
        self, database_url: str, invoker: Invoker, whatsapp: WhatsApp, aws_url: str, password: str | None
    ) -> DeveloperPaths:
        control = None
        if whatsapp.control_url is not None:
            control = SandboxControl(whatsapp.control_url)
            self._resources.push_async_callback(control.close)
        auth = SupabaseAuth(self._data.signing_key, self._url, database_url)
        return DeveloperPaths(auth, invoker, whatsapp, control, aws_url, password)


def _read(options: Options, url: str) -> StackDefinition:
    port = url.rpartition(":")[2]
    supplied = {"SupabaseUrl": url, "AllowedOrigins": f"{url},http://localhost:{port}"}
    return read_template(options.template, options.parameters, supplied)


def _raise_file_limit() -> None:
    """Allow many open files: each connection is one, and hundreds of polling pages exceed a shell's default limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
