"""Reads secrets from Secrets Manager. A secret that was read is kept for some minutes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

from whatsapp_pairing.core.errors import MisconfiguredError, SecretUnavailable
from whatsapp_pairing.runtime import limits, snapshot

_KEPT_SECONDS = 300
# A read of a secret takes no longer than this in an invocation with a limit. Its two tries take 4.4 s when Secrets
# Manager does not answer.
_SECRET_SECONDS = 5.0

# Errors of Secrets Manager that a second try does not change. After any other error, the next call tries again.
_PERMANENT = {
    "AccessDeniedException",
    "DecryptionFailure",
    "InvalidParameterException",
    "InvalidRequestException",
    "ResourceNotFoundException",
    "ValidationException",
}

_anew: ContextVar[bool] = ContextVar("anew", default=False)


@contextmanager
def read_anew() -> Iterator[None]:
    """Let each read within the block ask Secrets Manager, even if the secret was read a moment ago."""
    before = _anew.set(True)
    try:
        yield
    finally:
        _anew.reset(before)


def read(name: str, key: str) -> str:
    """Return one text of a secret that is a JSON object.

    Raises
    ------
    SecretUnavailable, MisconfiguredError
        As ``values`` and ``text`` raise them.
    """
    return text(values(name), name, key)


def values(name: str) -> Mapping[str, object]:
    """Return a secret that is a JSON object. A secret of another form counts as an empty object.

    Raises
    ------
    SecretUnavailable
        Secrets Manager does not answer, or throttles us.
    MisconfiguredError
        The secret cannot be read. The message names the secret.
    """
    # Imported here, because it loads boto3. A function that is given DATABASE_URL does not need boto3.
    from aws_lambda_powertools.utilities import parameters
    from botocore.exceptions import ClientError

    # `in_time` may call in another thread, which does not have this context variable.
    anew = _anew.get()
    secret: object = None
    try:
        secret = limits.in_time(
            lambda: _secrets().get(name, transform="json", max_age=_KEPT_SECONDS, force_fetch=anew), _SECRET_SECONDS
        )
    except limits.OutOfTimeError:
        raise SecretUnavailable(detail=f"Secrets Manager did not answer in time for the secret {name}") from None
    except parameters.GetParameterError as error:
        cause = error.__context__
        code = cause.response["Error"]["Code"] if isinstance(cause, ClientError) else type(cause).__name__
        if code not in _PERMANENT:
            raise SecretUnavailable(detail=f"Secrets Manager does not give the secret {name}: {code}") from None
        raise MisconfiguredError(
            f"The secret {name} cannot be read ({code}): is it there, and may this function read it?"
        ) from None
    except (parameters.TransformParameterError, UnicodeDecodeError):
        pass  # the errors' own messages quote the secret
    return secret if isinstance(secret, dict) else {}


def text(secret: Mapping[str, object], name: str, key: str) -> str:
    """Return the text that a secret has under a key.

    Raises
    ------
    MisconfiguredError
        There is no such text. The message names the secret, and quotes no value.
    """
    value = secret.get(key)
    if not isinstance(value, str) or not value.strip():
        raise MisconfiguredError(f'The secret {name} is not JSON with a key "{key}".')
    return value


@cache
def _secrets() -> Any:
    from aws_lambda_powertools.utilities.parameters import SecretsProvider
    from botocore.config import Config

    # The default limits, 60 s for each of several tries, are longer than a function may run.
    return SecretsProvider(
        boto_config=Config(connect_timeout=1, read_timeout=1.7, retries={"mode": "standard", "total_max_attempts": 2})
    )


# A snapshot must hold no secret, and a restored instance must not use an old one.
snapshot.forget(_secrets.cache_clear)
