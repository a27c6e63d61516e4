"""Corrects what the interpreter of moto 5.2.5 does wrongly or slowly. tests/tools/local tests each correction."""

from __future__ import annotations

import functools
import threading
from typing import Any

_making = threading.Lock()


def apply() -> None:
    """Change moto in this process. `MOTO_PORT` must be set before, because moto reads it when it is imported."""
    from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
    from moto.stepfunctions.parser.asl.eval.callback.callback import CallbackEndpoint
    from moto.stepfunctions.parser.models import StepFunctionsParserBackend

    lambda_eval_utils.boto_client_for = _client_for  # type: ignore[attr-defined,assignment]
    _skip_starting_executions(StepFunctionsParserBackend)
    _accept_early_callbacks(CallbackEndpoint)


def _client_for(region: str, service: str, **_: Any) -> Any:
    """Return one client for each service, with moto's address on this machine.

    moto makes a client for each call, which takes 20 ms and is not safe in threads. moto also calls itself by the name
    ``localhost``. Some machines resolve this name to ``::1`` only, where moto does not listen.
    """
    with _making:
        return _client(region, service)


@functools.cache
def _client(region: str, service: str) -> Any:
    import boto3
    from botocore.config import Config
    from moto.settings import moto_server_port
    from moto.stepfunctions.parser.asl.component.common.timeouts.timeout import TimeoutSeconds

    # Wait long and do not repeat. The task's own timeout ends a call, and moto repeats it as the state machine says.
    patient = Config(
        parameter_validation=False,
        retries={"total_max_attempts": 1},
        connect_timeout=TimeoutSeconds.DEFAULT_TIMEOUT_SECONDS,
        read_timeout=TimeoutSeconds.DEFAULT_TIMEOUT_SECONDS,
    )
    return boto3.client(
        service,
        region_name=region,
        endpoint_url=f"http://127.0.0.1:{moto_server_port()}",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=patient,
    )


def _skip_starting_executions(backend: Any) -> None:
    """Leave out executions that are still starting. They have no environment yet, so any callback would get 500."""
    original = backend._get_executions

    def get_executions(self: Any, execution_status: Any = None) -> list[Any]:
        found = original(self, execution_status)
        return [execution for execution in found if execution.exec_worker.env is not None]

    backend._get_executions = get_executions


def _accept_early_callbacks(endpoint: Any) -> None:
    """Accept callbacks that come before the task's Lambda call has returned, as AWS does.

    If the task has HeartbeatSeconds, moto forgets an outcome that comes so early, and later reports a missed heartbeat.
    It refuses a heartbeat that comes so early as an invalid token.
    """
    original = endpoint.setup_heartbeat_endpoint

    def setup_heartbeat_endpoint(self: Any, heartbeat_seconds: int) -> Any:
        heartbeat = original(self, heartbeat_seconds)
        if self.get_outcome() is not None:
            heartbeat.notify()
        return heartbeat

    def notify_heartbeat(self: Any) -> bool:
        if self._heartbeat_endpoint is not None:
            self._heartbeat_endpoint.notify()
        return True

    endpoint.setup_heartbeat_endpoint = setup_heartbeat_endpoint
    endpoint.notify_heartbeat = notify_heartbeat
