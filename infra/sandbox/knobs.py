"""The knobs: settings that make the sandbox misbehave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from infra.sandbox.errors import BadKnobError
from infra.sandbox.store import MAX_DEVICE_INDEX

_HOUR = 3600


class Knobs(BaseModel):
    """Every knob with its default. The HTTP control spells the names in camelCase.

    A change applies to later connections and later steps. `refs`, `deviceIndexes` and the delays are settings. All
    other knobs are failures, and `failTimes` limits how often they happen.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=to_camel,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

    refs: int = Field(default=6, ge=1, le=12)
    """How many QR codes an unpaired client gets. Six last 160 s (60 + 5 x 20), any other number 20 s each."""

    device_indexes: int = Field(default=MAX_DEVICE_INDEX, ge=1, le=MAX_DEVICE_INDEX)
    """How many device indexes a phone gives out before it starts again with the first free one. With 1, each new device
    of a phone gets the JID of the one before it."""

    qr_delay_seconds: float = Field(default=0, ge=0, le=_HOUR)
    """Pause between the handshake and the QR codes."""

    login_delay_seconds: float = Field(default=0, ge=0, le=_HOUR)
    """Pause before a paired device is let in (`<success>`)."""

    sync_delay_seconds: float = Field(default=0, ge=0, le=_HOUR)
    """Pause between the login and the message that the device has missed nothing (`<offline>`)."""

    refuse: bool = False
    """The proxy answers 503 to every tunnel, as if WhatsApp could not be reached."""

    silent: Literal["tcp", "upgrade", "handshake"] | None = None
    """Send nothing after this step. "tcp": the tunnel opens, but TLS gets no answer. "upgrade": the HTTP upgrade is
    done, but the Noise handshake gets no answer. "handshake": the handshake is done, but no QR and no login follow."""

    connect_failure: int | None = Field(default=None, ge=400, le=599)
    """`<failure reason=...>` for an unpaired client right after the handshake: 405 outdated, 503 ..."""

    drop_after_seconds: float | None = Field(default=None, ge=0, le=_HOUR)
    """Cut the connection of an unpaired client this many seconds after it got its QR codes."""

    passkey: bool = False
    """After a scan, ask the client for a passkey instead of pairing it."""

    renew_secret: bool = False
    """Do not accept a scan. Tell the client to renew the secret of its QR (`pair-device-rotate-qr`), so that the phone
    must scan again. A scan of the earlier picture then fails."""

    tamper: Literal["hmac", "signature"] | None = None
    """Send a scanned client a wrong HMAC or a wrong signature of the account. The client must refuse the pairing."""

    drop_after_scan: bool = False
    """After the client accepted the pairing, cut the connection without the order to reconnect (515)."""

    login_failure: int | None = Field(default=None, ge=400, le=599)
    """`<failure reason=...>` when a paired device logs in: 401 unlinked, 402 banned, 403 main device gone,
    405 client outdated, 503 unavailable."""

    replace_after_seconds: float | None = Field(default=None, ge=0, le=_HOUR)
    """This many seconds after a login, end the connection as if the same keys had logged in elsewhere (`replaced`)."""

    fail_times: int | None = Field(default=None, ge=0)
    """How many failures are left. Each failure counts it down, and at 0 there are no more. null means no limit."""


class KnobBoard:
    """Holds the present value of each knob."""

    def __init__(self) -> None:
        self.current = Knobs()

    def reset(self) -> None:
        """Put every knob back to its default."""
        self.current = Knobs()

    def change(self, values: Mapping[str, object]) -> None:
        """Set some knobs, by their camelCase names. If one is wrong, none of them changes.

        Raises
        ------
        BadKnobError
            A knob does not exist, or does not take the value. The message names it.
        """
        try:
            self.current = Knobs.model_validate(self.shown() | dict(values))
        except ValidationError as error:
            problems = (f"{'.'.join(map(str, problem['loc'][:1]))}: {problem['msg']}" for problem in error.errors())
            raise BadKnobError("; ".join(dict.fromkeys(problems))) from None

    def shown(self) -> dict[str, Any]:
        """Return all knobs by their camelCase names."""
        return self.current.model_dump(by_alias=True)

    def fail(self, knob: str, *values: object) -> Any:
        """If the failure `knob` has to happen now, count it down and return its value. Otherwise return None.

        With `values`, the failure happens only when the knob is set to one of them.
        """
        value = getattr(self.current, knob)
        left = self.current.fail_times
        if value is None or value is False or left == 0 or (values and value not in values):
            return None
        if left is not None:
            self.current = self.current.model_copy(update={"fail_times": left - 1})
        return value
