"""Step Functions, Secrets Manager and Lambda's Invoke API for the functions. moto's server stands in for all three.

moto interprets the state machines, but it does not know our functions. So `_answer_with` replaces `invoke` of moto's
Lambda backend. The new `invoke` passes the event to the `Invoker`, in the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from infra.local.errors import InvocationError
from infra.local.functions.invocation import Answer
from infra.local.functions.invoker import Invoker
from infra.ports import free_port
from infra.template.errors import TemplateError
from infra.template.intrinsics import ACCOUNT, REGION
from infra.template.stack_definition import StateMachine

ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/local"


class AwsServices:
    """moto's server on a port of its own.

    The constructor imports moto, which takes about a second. So call it in a thread.
    """

    def __init__(self) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        # moto's interpreter calls Lambda on moto's own port. It reads the port from this variable when it is imported.
        os.environ["MOTO_PORT"] = str(port)
        self._app = _load_moto()
        self._port = port
        self._server: Any = None

    def start(
        self,
        state_machines: Sequence[StateMachine],
        secrets: Mapping[str, str],
        invoker: Invoker,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """Create the resources and serve.

        Raises
        ------
        TemplateError
            Step Functions refuses the definition of a state machine.
        """
        from werkzeug.serving import make_server

        _answer_with(invoker, loop)
        self._server = make_server("127.0.0.1", self._port, self._app, threaded=True)
        threading.Thread(target=self._server.serve_forever, name="moto", daemon=True).start()
        _create(self.url, state_machines, secrets)

    def stop(self) -> None:
        """Stop serving. Executions end with the process."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


def _load_moto() -> Any:
    """Import moto with everything that a pairing needs, so that the first pairing does not wait for imports."""
    from moto.core.config import default_user_config
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    default_user_config["lambda"]["use_docker"] = False
    default_user_config["stepfunctions"]["execute_state_machine"] = True

    from infra.local.aws import moto_fixes

    moto_fixes.apply()
    for name in ("werkzeug", "urllib3"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # moto logs the error of a failed state, and the error may quote the state's input.
    logging.getLogger("moto").setLevel(logging.CRITICAL)
    return DomainDispatcherApplication(create_backend_app)


def _answer_with(invoker: Invoker, loop: asyncio.AbstractEventLoop) -> None:
    from moto.awslambda_simple.models import LambdaSimpleBackend
    from moto.core.exceptions import JsonRESTError

    def invoke(
        self: Any,
        function_name: str,
        qualifier: Any,
        body: Any,
        headers: Any,
        response_headers: dict[str, str],
    ) -> bytes:
        payload = body if isinstance(body, bytes) else (body or "{}").encode()
        kind = headers.get("X-Amz-Invocation-Type") or "RequestResponse"
        try:
            answer = asyncio.run_coroutine_threadsafe(_invoke(invoker, kind, function_name, payload), loop).result()
        except InvocationError as error:
            refusal = JsonRESTError(error.code, str(error))
            refusal.code = error.status
            raise refusal from error
        if answer.failed:
            response_headers["x-amz-function-error"] = "Unhandled"
        response_headers["x-amz-executed-version"] = "$LATEST"
        return answer.payload

    LambdaSimpleBackend.invoke = invoke  # type: ignore[method-assign]


async def _invoke(invoker: Invoker, kind: str, name: str, payload: bytes) -> Answer:
    if kind == "Event":
        invoker.invoke_later(name, payload)
        return Answer(b"")
    return await invoker.invoke(name, payload)


def _create(url: str, state_machines: Sequence[StateMachine], secrets: Mapping[str, str]) -> None:
    """Create the resources as a deployment would. These calls also make moto load its services."""
    import boto3
    from botocore.exceptions import ClientError

    session = boto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name=REGION)
    states = session.client("stepfunctions", endpoint_url=url)
    for machine in state_machines:
        try:
            states.create_state_machine(name=machine.name, definition=machine.definition, roleArn=ROLE_ARN)
        except ClientError as error:
            raise TemplateError(f"{machine.logical_id}: Step Functions refuses the definition: {error}") from error
    vault = session.client("secretsmanager", endpoint_url=url)
    for name, value in secrets.items():
        vault.create_secret(Name=name, SecretString=value)
