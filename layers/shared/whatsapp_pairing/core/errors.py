"""The exceptions of the domain.

::

    PairingError
    ├── Denied             the caller may not
    │   ├── Unauthorized           no user behind the request                 401
    │   │   └── AnonymousNotAllowed    a user, but one without an account     401
    │   └── SecondFactorRequired   a user who signed in with one factor only  403
    ├── NoQr                nothing to scan at the moment                     404
    ├── NotAcceptable       the caller refuses every type that we offer       406
    ├── TooLarge            a body where no call takes one                    413
    ├── TooSoon             the pause after the last attempt is not over      429
    ├── AtCapacity          as many pairings are running as the system is meant for   503
    ├── Unavailable         a part that we depend on does not answer          503
    │   ├── DatabaseUnavailable       Postgres
    │   │   └── DatabaseBusy          Postgres answers, but the statement waited for too long
    │   ├── SecretUnavailable      Secrets Manager
    │   └── WorkflowUnavailable    Step Functions or Lambda
    │       └── WorkflowSilent         it has not answered, so the call may take effect
    ├── DatabaseRefused        Postgres refuses a statement of ours              500
    ├── MisconfiguredError  a setting is missing or wrong (names it)          500
    ├── InvalidPayload      an event that this function was not made for
    ├── DeviceBusy          somebody else has an engine open on the device
    ├── EngineDatabaseFailed   the engine's database fails or refuses it; WhatsApp was not asked
    └── UnlinkFailed        WhatsApp did not confirm the removal; try again later
"""

from whatsapp_pairing.core.denials import Denial


class PairingError(Exception):
    """Base of all; ``code`` and ``message`` are fit for the caller's eyes.

    Attributes
    ----------
    status : int
        HTTP status that belongs to it.
    code : str
        Machine-readable name, the API's ``error``.
    message : str
        One plain sentence.
    retry_after : int or None
        Whole seconds after which trying again makes sense, where we know.

    Parameters
    ----------
    detail : str, optional
        What the log and an execution's history are told instead of the message: names and codes, never a value.
    """

    status = 500
    retry_after: int | None = None
    code = "internal"
    message = "Something went wrong on our side. Please try again."

    def __init__(self, message: str | None = None, detail: str | None = None) -> None:
        self.message = message or self.message
        super().__init__(detail or self.message)


class Denied(PairingError):
    """The caller may not; ``denial`` is the class for the log, ``challenge`` the header ``WWW-Authenticate``."""

    def __init__(self, denial: Denial, challenge: str) -> None:
        self.denial = denial
        self.challenge = challenge
        super().__init__()

    @staticmethod
    def because(denial: Denial) -> "Denied":
        """Return the exception of this class of denial."""
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
    """The token is good, but below `RequiredAssuranceLevel`. The challenge is the one of RFC 9470."""

    status, code, message = 403, "second_factor_required", "Sign in with your second factor: this service asks for it."

    def __init__(self) -> None:
        super().__init__(Denial.SECOND_FACTOR, 'Bearer error="insufficient_user_authentication"')


class NoQr(PairingError):
    """There is no QR to show: none came yet, it was scanned, or no attempt is running."""

    status, code, message = 404, "no_qr", "There is no QR code to scan right now."


class NotAcceptable(PairingError):
    """The request's Accept excludes every media type that there is."""

    status, code, message = 406, "not_acceptable", "Accept excludes image/svg+xml, image/png and text/plain: allow one."


class TooLarge(PairingError):
    """The request carries a body that is worth refusing."""

    status, code, message = 413, "too_large", "The request's body is too large: this call needs none."


class TooSoon(PairingError):
    """The pause after the last attempt is not over; ``retry_after`` is when it will be."""

    status, code = 429, "too_soon"

    def __init__(self, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__(f"Please wait {retry_after} second{'s'[: retry_after > 1]} before you try again.")


class AtCapacity(PairingError):
    """As many pairings are running as the system is meant for; they end within minutes."""

    status, code, retry_after = 503, "at_capacity", 20
    message = "Many people are connecting right now. Please try again in a moment."


class Unavailable(PairingError):
    """A part that we depend on does not answer; trying again helps."""

    status, code, message = 503, "unavailable", "The service is busy. Please try again in a moment."


class DatabaseUnavailable(Unavailable):
    """Postgres cannot be reached or gave up."""


class DatabaseBusy(DatabaseUnavailable):
    """Another transaction holds what the statement needs, or the statement took longer than it may."""


class SecretUnavailable(Unavailable):
    """Secrets Manager cannot be reached, throttles us, or did not answer in time; the next call asks again."""


class WorkflowUnavailable(Unavailable):
    """Step Functions or Lambda cannot be reached or throttles us."""


class WorkflowSilent(WorkflowUnavailable):
    """Step Functions or Lambda has not answered in time, so the call may still take effect."""


class DatabaseRefused(PairingError):
    """Postgres refuses a statement: a constraint, a right or a type that we did not expect; ``sqlstate`` says which."""

    def __init__(self, detail: str | None = None, sqlstate: str | None = None) -> None:
        self.sqlstate = sqlstate
        super().__init__(detail=detail)


class InvalidPayload(PairingError):
    """The event does not have the shape that the function was made for."""


class MisconfiguredError(PairingError):
    """A setting is missing or malformed; the message names it, never its value."""


class DeviceBusy(PairingError):
    """Another engine holds the device's lease."""


class EngineDatabaseFailed(PairingError):
    """The engine's database fails or refuses the engine."""


class UnlinkFailed(PairingError):
    """WhatsApp did not confirm that the device is gone."""
