"""The errors with which the sandbox refuses a request of its HTTP control.

SandboxError
├── BadRequestError        400  the request is malformed
│   ├── BadQrError         400  the text is no pairing QR
│   ├── BadNumberError     400  the number is no phone number
│   └── BadKnobError       400  no knob has this name, or the knob does not take the value
├── UnknownQrError         404  no client is showing this QR (any more)
├── UnknownNumberError     404  no phone with this number
├── TooManyDevicesError    409  the phone has four linked devices
├── PairingRefusedError    409  the client did not accept the pairing
├── PasskeyRequiredError   409  the client was asked for a passkey
├── ScanAgainError         409  the client was told to renew its QR
├── SocketClosedError      409  the client went away
└── ClientSilentError      504  the client did not answer in time
"""

from __future__ import annotations


class SandboxError(Exception):
    """The base of all. `code` and `status` stand in the HTTP answer."""

    code = "internal"
    status = 500


class BadRequestError(SandboxError):
    """The request is malformed."""

    code, status = "bad_request", 400


class BadQrError(BadRequestError):
    """The text is no pairing QR."""

    code = "bad_qr"


class BadNumberError(BadRequestError):
    """The number is no phone number."""

    code = "bad_number"


class BadKnobError(BadRequestError):
    """No knob has this name, or the knob does not take the value."""

    code = "bad_knob"


class UnknownQrError(SandboxError):
    """No client is showing this QR. It has expired or was used, or no client has ever shown it."""

    code, status = "unknown_qr", 404


class UnknownNumberError(SandboxError):
    """No phone has this number yet."""

    code, status = "unknown_number", 404


class TooManyDevicesError(SandboxError):
    """The phone has as many linked devices as WhatsApp allows."""

    code, status = "too_many_devices", 409


class PairingRefusedError(SandboxError):
    """The client did not accept the pairing."""

    code, status = "pairing_refused", 409


class PasskeyRequiredError(SandboxError):
    """The client was asked for a passkey instead of being paired."""

    code, status = "passkey_required", 409


class ScanAgainError(SandboxError):
    """The client was told to renew its QR instead of being paired."""

    code, status = "scan_again", 409


class SocketClosedError(SandboxError):
    """The client went away."""

    code, status = "socket_closed", 409


class ClientSilentError(SandboxError):
    """The client did not answer in time."""

    code, status = "client_silent", 504
