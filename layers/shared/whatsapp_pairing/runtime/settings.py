"""The environment as one frozen, typed object, read on first use and never at import."""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

from whatsapp_pairing.core.assurance import AssuranceLevel
from whatsapp_pairing.core.errors import MisconfiguredError
from whatsapp_pairing.runtime import secrets
from whatsapp_pairing.runtime.database_url import normalised


@dataclass(frozen=True)
class Settings:
    """The settings that template.yaml gives a function. Each function gets only those that it needs.

    Examples
    --------
    >>> Settings({"QR_TIMEOUT_SECONDS": "120"}).qr_timeout_seconds
    120.0
    >>> Settings({}).supabase_url
    Traceback (most recent call last):
    ...
    whatsapp_pairing.core.errors.MisconfiguredError: The setting SUPABASE_URL is missing.
    """

    environment: Mapping[str, str] = field(repr=False)

    @property
    def database_url(self) -> str:
        """``postgresql://`` URL: the key ``url`` of the secret DATABASE_SECRET_NAME, or DATABASE_URL if that is set.

        The secret may hold ``ca`` too: PEM, the roots against which the server's certificate is checked.
        """
        return self._url("DATABASE")

    @property
    def engine_database_url(self) -> str:
        """The same URL for the engine's role, by ENGINE_DATABASE_SECRET_NAME or ENGINE_DATABASE_URL."""
        return self._url("ENGINE_DATABASE")

    @property
    def supabase_url(self) -> str:
        """The Supabase project whose users we serve, without a trailing slash."""
        return self._text("SUPABASE_URL").rstrip("/")

    @property
    def accepted_issuers(self) -> list[str]:
        """Issuers that tokens may name beside the project's own address, separated by commas; usually empty.

        An entry without a path is the address of a project, whose issuer ends in ``/auth/v1``.
        """
        entries = [entry.strip().rstrip("/") for entry in self.environment.get("ACCEPTED_ISSUERS", "").split(",")]
        return [entry if entry.count("/") > 2 else f"{entry}/auth/v1" for entry in entries if entry]

    @property
    def allow_anonymous_users(self) -> bool:
        """Whether users without an account, whom Supabase calls anonymous, may pair."""
        return self.environment.get("ALLOW_ANONYMOUS_USERS") == "true"

    @property
    def write_session_rows(self) -> bool:
        """Whether session rows are written. A product that does not read them may switch them off."""
        return self.environment.get("WRITE_SESSION_ROWS") != "false"

    @property
    def required_assurance_level(self) -> AssuranceLevel:
        """The lowest level of a sign-in that may pair: ``NONE`` or ``AAL2``."""
        level = self.environment.get("REQUIRED_ASSURANCE_LEVEL", "none")
        if level not in ("none", "aal2"):  # A misspelt level must not count as none.
            raise MisconfiguredError("The setting REQUIRED_ASSURANCE_LEVEL is neither none nor aal2.")
        return AssuranceLevel.parse(level)

    @property
    def legacy_jwt_secret(self) -> Callable[[], str] | None:
        """Returns the key ``secret`` of the secret LEGACY_JWT_SECRET_NAME; None when only key pairs are accepted."""
        name = self.environment.get("LEGACY_JWT_SECRET_NAME")
        return (lambda: secrets.read(name, "secret")) if name else None

    @property
    def whatsapp_proxy(self) -> Callable[[], str] | None:
        """A function that reads the key ``url`` of the secret WHATSAPP_PROXY_SECRET_NAME; None without a proxy."""
        name = self.environment.get("WHATSAPP_PROXY_SECRET_NAME")
        return (lambda: secrets.read(name, "url")) if name else None

    @property
    def state_machine_arn(self) -> str:
        """The pairing workflow."""
        return self._text("STATE_MACHINE_ARN")

    @property
    def linker_function(self) -> str:
        """Name of the function that holds the WhatsApp socket."""
        return self._text("LINKER_FUNCTION")

    @property
    def unlink_function(self) -> str:
        """Name of the function that removes a device at WhatsApp."""
        return self._text("UNLINK_FUNCTION")

    @property
    def qr_timeout_seconds(self) -> float:
        """How many seconds WhatsApp has to give a QR."""
        return self._seconds("QR_TIMEOUT_SECONDS")

    @property
    def auth_timeout_seconds(self) -> float:
        """How many seconds a person has to scan the QR."""
        return self._seconds("AUTH_TIMEOUT_SECONDS")

    @property
    def max_live_pairings(self) -> int:
        """How many attempts of all users may live at once."""
        return self._number("MAX_LIVE_PAIRINGS", "pairings")

    @property
    def attempt_retention_days(self) -> int:
        """For how many days ended attempts are kept."""
        return self._number("ATTEMPT_RETENTION_DAYS", "days")

    def _url(self, database: str) -> str:
        direct = self.environment.get(f"{database}_URL")  # only tests and benchmarks set it; the template names secrets
        if direct:
            return direct
        name = self._text(f"{database}_SECRET_NAME")
        secret = secrets.values(name)
        url, ca = secrets.text(secret, name, "url"), secret.get("ca")
        if ca is None:
            return url
        from whatsapp_pairing.runtime.root_certificates import file_with  # imported here, because few secrets have `ca`

        return normalised(url, file_with(ca, name))

    def _text(self, name: str) -> str:
        value = self.environment.get(name)
        if not value:
            raise MisconfiguredError(f"The setting {name} is missing.")
        return value

    def _number(self, name: str, unit: str) -> int:
        text = self._text(name)
        if not text.isdecimal() or int(text) < 1:
            raise MisconfiguredError(f"The setting {name} is not a number of {unit}.")
        return int(text)

    def _seconds(self, name: str) -> float:
        try:
            seconds = float(self._text(name))
        except ValueError:
            raise MisconfiguredError(f"The setting {name} is not a number of seconds.") from None
        if not 0 < seconds < math.inf:
            raise MisconfiguredError(f"The setting {name} is not a number of seconds above zero.")
        return seconds


@cache
def settings() -> Settings:
    """Return the process's settings; the same object for the life of the instance."""
    return Settings(dict(os.environ))
