"""What moto 5.2.5's interpreter does wrongly or slowly, put right in place. Each has a test in tests/tools/local."""

from __future__ import annotations

import functools
import threading
from typing import Any

_making = threading.Lock()


def apply() -> None:
    """Change moto for this process. It must be imported by its port first (`MOTO_PORT`)."""
    from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
    from moto.stepfunctions.parser.asl.eval.callback.callback import CallbackEndpoint
    from moto.stepfunctions.parser.models import StepFunctionsParserBackend

    lambda_eval_utils.boto_client_for = _client_for  # type: ignore[attr-defined,assignment]
    _skip_starting_executions(StepFunctionsParserBackend)
    _accept_early_callbacks(CallbackEndpoint)


def _client_for(region: str, service: str, **_: Any) -> Any:
    """One client per service, by moto's address on this machine.

    moto makes a client per call, which takes 20 ms and is not safe in threads. It also calls itself by the name
    ``localhost``, which some machines resolve to ``::1`` only, where it does not listen.
    """
    with _making:
        return _client(region, service)


@functools.cache
def _client(region: str, service: str) -> Any:
    import boto3
    from botocore.config import Config
    from moto.settings import moto_server_port
    from moto.stepfunctions.parser.asl.component.common.timeouts.timeout import TimeoutSeconds

    # A task's own timeout ends a call, and moto itself repeats it as the state machine says.
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
    """An execution that is only starting has no environment: any callback meanwhile would answer 500."""
    original = backend._get_executions

    def get_executions(self: Any, execution_status: Any = None) -> list[Any]:
        found = original(self, execution_status)
        return [execution for execution in found if execution.exec_worker.env is not None]

    backend._get_executions = get_executions


def _accept_early_callbacks(endpoint: Any) -> None:
    """Callbacks that come before the task's own Lambda call has returned.

    With HeartbeatSeconds, moto forgets such an outcome and reports a missed heartbeat instead; an early heartbeat
    it refuses as an invalid token. AWS takes both.
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
