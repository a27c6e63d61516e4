"""The exceptions of the domain.

::

    PairingError
    ├── Denied              the caller has no right to the call
    │   ├── Unauthorized           no user behind the request                 401
    │   │   └── AnonymousNotAllowed    a user, but one without an account     401
    │   └── SecondFactorRequired   a user who signed in with one factor only  403
    ├── NoQr                nothing to scan at the moment                     404
    ├── NotAcceptable       the caller refuses every type that we offer       406
    ├── TooLarge            the body is larger than we accept                 413
    ├── TooSoon             the user must wait before the next attempt        429
    ├── AtCapacity          as many attempts live as the system is meant for  503
    ├── Unavailable         a part that we depend on does not answer          503
    │   ├── DatabaseUnavailable    Postgres
    │   │   ├── DatabaseBusy           Postgres answers, but the statement took too long
    │   │   └── LoginRefused           Postgres or its pooler refuses our user or password
    │   ├── SecretUnavailable      Secrets Manager
    │   └── WorkflowUnavailable    Step Functions or Lambda
    │       └── WorkflowSilent         AWS has not answered, so the call may take effect
    ├── DatabaseRefused     Postgres refuses a statement of ours              500
    ├── MisconfiguredError  a setting is missing or wrong (names it)          500
    ├── InvalidPayload      an event without the shape that this function expects
    ├── DeviceBusy          another process holds the device's lease
    ├── EngineDatabaseFailed    the engine's database fails or refuses the engine; WhatsApp was not asked
    └── UnlinkFailed        WhatsApp did not confirm the removal; try again later
"""

from whatsapp_pairing.core.denials import Denial


class PairingError(Exception):
    """The base of all exceptions of the domain. The caller may see ``code`` and ``message``.

    Attributes
    ----------
    status : int
        HTTP status of the answer.
    code : str
        Machine-readable name, the API's ``error``.
    message : str
        One plain sentence.
    retry_after : int or None
        Whole seconds after which the caller should try again; None when we do not know.

    Parameters
    ----------
    detail : str, optional
        Text for the log and an execution's history, instead of the message. It has names and codes, never a value.
    """

    status = 500
    retry_after: int | None = None
    code = "internal"
    message = "Something went wrong on our side. Please try again."

    def __init__(self, message: str | None = None, detail: str | None = None) -> None:
        self.message = message or self.message
        super().__init__(detail or self.message)


class Denied(PairingError):
    """The caller has no right to the call. ``denial`` is for the log, ``challenge`` for the header."""

    def __init__(self, denial: Denial, challenge: str) -> None:
        self.denial = denial
        self.challenge = challenge
        super().__init__()

    @staticmethod
    def because(denial: Denial) -> "Denied":
        """Return the exception for this denial."""
        if denial is Denial.ANONYMOUS:
            return AnonymousNotAllowed()
        return SecondFactorRequired() if denial is Denial.SECOND_FACTOR else Unauthorized(denial)


class Unauthorized(Denied):
    """The request carries no valid access token. Its challenge (RFC 6750) names an error only if a token was sent."""

    status, code, message = 401, "unauthorized", "Sign in again: the access token is missing, wrong or expired."

    def __init__(self, denial: Denial = Denial.NO_TOKEN) -> None:
        super().__init__(denial, "Bearer" if denial is Denial.NO_TOKEN else 'Bearer error="invalid_token"')


class AnonymousNotAllowed(Unauthorized):
    """The token is good, but its user has no account (Supabase: anonymous) and `AllowAnonymousUsers` is false."""

    code, message = "anonymous_not_allowed", "Sign in with an account: anonymous users cannot connect WhatsApp."

    def __init__(self) -> None:
        super().__init__(Denial.ANONYMOUS)


class SecondFactorRequired(Denied):
    """The token is good, but its sign-in is weaker than `RequiredAssuranceLevel`. The challenge is that of RFC 9470."""

    status, code, message = 403, "second_factor_required", "Sign in with your second factor: this service asks for it."

    def __init__(self) -> None:
        super().__init__(Denial.SECOND_FACTOR, 'Bearer error="insufficient_user_authentication"')


class NoQr(PairingError):
    """There is no QR to show: no QR has come yet, the QR was scanned, or no attempt is running."""

    status, code, message = 404, "no_qr", "There is no QR code to scan right now."


class NotAcceptable(PairingError):
    """The request's Accept excludes every media type that we offer."""

    status, code, message = 406, "not_acceptable", "Accept excludes image/svg+xml, image/png and text/plain: allow one."


class TooLarge(PairingError):
    """The request has a body above ``http.LONGEST_BODY``."""

    status, code, message = 413, "too_large", "The request's body is too large: this call needs none."


class TooSoon(PairingError):
    """The user may start the next attempt in ``retry_after`` seconds, because of the pause or the limit for an hour."""

    status, code = 429, "too_soon"

    def __init__(self, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__(f"Please wait {retry_after} second{'s'[: retry_after > 1]} before you try again.")


class AtCapacity(PairingError):
    """As many attempts live as the system is meant for. They end within minutes."""

    status, code, retry_after = 503, "at_capacity", 20
    message = "Many people are connecting right now. Please try again in a moment."


class Unavailable(PairingError):
    """A part that we depend on does not answer. Another try helps."""

    status, code, message = 503, "unavailable", "The service is busy. Please try again in a moment."


class DatabaseUnavailable(Unavailable):
    """Postgres cannot be reached, or has ended the connection."""


class DatabaseBusy(DatabaseUnavailable):
    """Another transaction holds a lock that the statement needs, or the statement ran for too long."""


class LoginRefused(DatabaseUnavailable):
    """Postgres or its pooler refuses our user or password. The next calls read the secret again, every 30 s at most."""

    def __init__(self) -> None:
        super().__init__(
            detail="Postgres or its pooler refuses the login: correct the user or the password in the secret, or the "
            "role at the server. A changed secret is used after 30 s at most, a changed role after 5 minutes."
        )


class SecretUnavailable(Unavailable):
    """Secrets Manager cannot be reached, throttles us, or did not answer in time. The next call asks again."""


class WorkflowUnavailable(Unavailable):
    """Step Functions or Lambda cannot be reached or throttles us."""


class WorkflowSilent(WorkflowUnavailable):
    """Step Functions or Lambda has not answered in time, so the call may still take effect."""


class DatabaseRefused(PairingError):
    """Postgres refuses a statement, for example by a constraint or a missing right. ``sqlstate`` says why."""

    def __init__(self, detail: str | None = None, sqlstate: str | None = None) -> None:
        self.sqlstate = sqlstate
        super().__init__(detail=detail)


class InvalidPayload(PairingError):
    """The event does not have the shape that the function expects."""


class MisconfiguredError(PairingError):
    """A setting is missing or malformed. The message names the setting, never its value."""


class DeviceBusy(PairingError):
    """Another process holds the device's lease."""


class EngineDatabaseFailed(PairingError):
    """The engine's database fails or refuses the engine."""


class UnlinkFailed(PairingError):
    """WhatsApp did not confirm that the device is gone."""
