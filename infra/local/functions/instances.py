"""A function instance: one `awslambdaric` process that takes one event at a time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from infra.children import ChildGuard
from infra.local.functions.interpreters import Interpreter
from infra.local.functions.invocation import Answer, Invocation, failure
from infra.local.functions.processes import kill_group, kill_tree
from infra.local.functions.runtime_api import RuntimeApi
from infra.template.intrinsics import REGION
from infra.template.stack_definition import Function

# Lambda's limit for a synchronous answer.
MAX_RESPONSE_BYTES = 6_291_556


class Instance:
    """One process of a function.

    It can take an event once it has polled for the first time. It is busy while `current` is set. After `ended` is set,
    it never runs again. Both callbacks run on the event loop.

    Parameters
    ----------
    function
        The function that it runs, with its limits.
    python
        The Python that runs its code.
    environment
        All variables of the process, without the Runtime API's address.
    log_path
        The file for its output, and for Lambda's START, END and REPORT lines.
    on_idle
        Called each time the instance waits for an event.
    on_end
        Called once, after the process has ended.
    """

    def __init__(
        self,
        function: Function,
        python: Interpreter,
        environment: Mapping[str, str],
        log_path: Path,
        api: RuntimeApi,
        guard: ChildGuard,
        on_idle: Callable[[Instance], None],
        on_end: Callable[[Instance], None],
    ) -> None:
        self.function = function
        self.arn = function.arn
        self.current: Invocation | None = None
        self.idle_since = 0.0
        self.pid = 0
        self.init_failure: Answer | None = None
        self.ended = False
        self._python = python
        self._environment = environment
        self._log_path = log_path
        self._api = api
        self._guard = guard
        self._on_idle = on_idle
        self._on_end = on_end
        self._events: asyncio.Queue[Invocation | None] = asyncio.Queue()
        self._timer: asyncio.TimerHandle | None = None
        self._end_reason: tuple[str, str] | None = None
        self._port = 0
        self._log_fd = -1
        self._watcher: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the process. `on_idle` is called when it can take an event, `on_end` if it has failed."""
        self._port = await self._api.open(self)
        self._log_fd = os.open(self._log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            process = await self._spawn()
        except OSError:
            self._api.close(self._port)
            os.close(self._log_fd)
            raise
        self.pid = process.pid
        self._guard.watch(self.pid)
        self._watcher = asyncio.create_task(self._watch(process))

    def assign(self, invocation: Invocation) -> None:
        """Give an idle instance an event. The time of its Timeout starts now."""
        self.current = invocation
        invocation.started = time.time()
        invocation.deadline = invocation.started + self.function.timeout
        self._log(f"START RequestId: {invocation.request_id} Version: $LATEST")
        self._timer = asyncio.get_running_loop().call_later(self.function.timeout, self._time_out, invocation)
        self._events.put_nowait(invocation)

    def kill(self, error_type: str = "Runtime.ExitError", message: str = "Runtime exited") -> None:
        """End the process and everything that it has started. A running invocation is answered with this error."""
        if self._end_reason is None:
            self._end_reason = (error_type, message)
        if self.pid and not self.ended:
            kill_tree(self.pid)

    async def wait_ended(self) -> None:
        """Wait until nothing of the process is left."""
        if self._watcher is not None:
            await self._watcher

    # Called by the Runtime API

    async def next(self) -> Invocation | None:
        """Wait for an event (`Runtime.next`)."""
        self.idle_since = time.monotonic()
        if not self.ended:
            self._on_idle(self)
        return await self._events.get()

    def respond(self, request_id: str, payload: bytes, failed: bool) -> bool:
        """Take an answer (`Runtime.respond`)."""
        invocation = self.current
        if invocation is None or invocation.request_id != request_id:
            return False
        if len(payload) > MAX_RESPONSE_BYTES:
            message = f"Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE_BYTES} bytes)."
            self._finish(failure("Function.ResponseSizeTooLarge", message))
        else:
            self._finish(Answer(payload, failed))
        return True

    def init_failed(self, payload: bytes) -> None:
        """Remember why the module could not be loaded (`Runtime.init_failed`); the process ends by itself."""
        self.init_failure = Answer(payload, failed=True)

    # The process

    async def _spawn(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self._python.command,
            "-m",
            "awslambdaric",
            self.function.handler,
            cwd=self.function.code,
            env=dict(self._environment) | {"AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._port}"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=self._log_fd,
            stderr=self._log_fd,
            start_new_session=True,
        )

    def _finish(self, answer: Answer) -> None:
        invocation, self.current = self.current, None
        if self._timer is not None:
            self._timer.cancel()
        if invocation is None:
            return
        milliseconds = (time.time() - invocation.started) * 1000
        self._log(f"END RequestId: {invocation.request_id}")
        self._log(
            f"REPORT RequestId: {invocation.request_id}\tDuration: {milliseconds:.2f} ms"
            f"\tMemory Size: {self.function.memory_mb} MB" + ("\tStatus: error" if answer.failed else "")
        )
        invocation.finish(answer)

    def _time_out(self, invocation: Invocation) -> None:
        if self.current is invocation:
            self.kill("Sandbox.Timedout", f"Task timed out after {self.function.timeout:.2f} seconds")

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        self.ended = True
        # End the processes that it has started too. On AWS, the whole environment of the instance ends with it.
        kill_group(self.pid)
        self._guard.unwatch(self.pid)
        self._api.close(self._port)
        self._events.put_nowait(None)
        if self.current is not None:
            error_type, message = self._end_reason or ("Runtime.ExitError", _exit_message(code))
            self._log(f"{self.current.request_id} {error_type}: {message}")
            text = f"RequestId: {self.current.request_id} Error: {message}"
            self._finish(failure(error_type, text))
        os.close(self._log_fd)
        self._log_fd = -1
        self._on_end(self)

    def _log(self, line: str) -> None:
        if self._log_fd >= 0:
            with contextlib.suppress(OSError):  # a full disk must not stop the invocation
                os.write(self._log_fd, line.encode() + b"\n")


def _exit_message(code: int) -> str:
    if code < 0:
        return f"Runtime exited with error: signal: {signal.Signals(-code).name.removeprefix('SIG').lower()}"
    return f"Runtime exited with error: exit status {code}" if code else "Runtime exited without providing a reason"


def instance_environment(function: Function, python: Interpreter, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of Lambda, of the template and of `extra`. Later ones replace earlier ones.

    Of the runner's own environment, only PATH is passed on. PYTHONPATH of `extra` comes before the layers' folders.
    """
    python_path = [extra["PYTHONPATH"]] if "PYTHONPATH" in extra else []
    python_path += [str(layer.python_path) for layer in function.layers]
    python_path += python.packages
    started = datetime.now(UTC)
    return {
        "PATH": python.search_path,
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "LAMBDA_TASK_ROOT": str(function.code),
        "LAMBDA_RUNTIME_DIR": str(function.code),
        "_HANDLER": function.handler,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{python.version}",
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": f"{started:%Y/%m/%d}/[$LATEST]local",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_SESSION_TOKEN": "local",
        # boto3 must not find the developer's own AWS account.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        **function.environment,
        **extra,
        "PYTHONPATH": os.pathsep.join(python_path),
    }
