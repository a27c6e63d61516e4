"""How the sandbox can be made to misbehave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from infra.sandbox.errors import BadKnobError
from infra.sandbox.store import MAX_DEVICE_INDEX

_HOUR = 3600


class Knobs(BaseModel):
    """Every knob with its default; the HTTP control spells them in camelCase.

    A change applies to connections opened, and to steps taken, after it. `refs`, `deviceIndexes` and the delays
    are not failures; all others are, and `failTimes` limits how often failures happen.
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
    """Pause before a device that logged in is told that it has nothing to catch up with (`<offline>`)."""

    refuse: bool = False
    """The proxy answers 503 to every tunnel: WhatsApp cannot be reached."""

    silent: Literal["tcp", "upgrade", "handshake"] | None = None
    """Say nothing more after: the TCP connection ("tcp": the tunnel opens, TLS is never answered), the HTTP
    upgrade ("upgrade": the Noise handshake is never answered), or the handshake ("handshake": no QR, no
    login)."""

    connect_failure: int | None = Field(default=None, ge=400, le=599)
    """`<failure reason=...>` for an unpaired client right after the handshake: 405 outdated, 503 ..."""

    drop_after_seconds: float | None = Field(default=None, ge=0, le=_HOUR)
    """Cut the connection of an unpaired client so long after it got its QR codes."""

    passkey: bool = False
    """A scan makes the client be asked for a passkey instead of being paired."""

    renew_secret: bool = False
    """A scan is not accepted: the client is told to renew the secret of its QR (`pair-device-rotate-qr`), and the
    phone must scan again. A scan of the picture from before fails."""

    tamper: Literal["hmac", "signature"] | None = None
    """Spoil the HMAC or the account's signature in what a scanned client gets; it must refuse."""

    drop_after_scan: bool = False
    """After the client accepted the pairing, cut the connection without the order to reconnect (515)."""

    login_failure: int | None = Field(default=None, ge=400, le=599)
    """`<failure reason=...>` when a paired device logs in: 401 unlinked, 402 banned, 403 main device gone,
    405 client outdated, 503 unavailable."""

    replace_after_seconds: float | None = Field(default=None, ge=0, le=_HOUR)
    """So long after a login, throw the device out as if its keys had connected elsewhere (`replaced`)."""

    fail_times: int | None = Field(default=None, ge=0)
    """How many more failures there will be before the sandbox behaves; null means no limit. Counts down."""


class KnobBoard:
    """The knobs as they stand now."""

    def __init__(self) -> None:
        self.current = Knobs()

    def reset(self) -> None:
        """Put every knob back to its default."""
        self.current = Knobs()

    def change(self, values: Mapping[str, object]) -> None:
        """Set some knobs, by their camelCase names; all of them or, when one is wrong, none.

        Raises
        ------
        BadKnobError
            Naming the knobs that do not exist or do not take the value.
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
        """Return what the failure `knob` is set to if it shall happen now, and count it; else None.

        With `values`, the failure happens only when the knob is set to one of them.
        """
        value = getattr(self.current, knob)
        left = self.current.fail_times
        if value is None or value is False or left == 0 or (values and value not in values):
            return None
        if left is not None:
            self.current = self.current.model_copy(update={"fail_times": left - 1})
        return value
