"""A loopback WhatsApp: real clients pair with it, log in and log out, and no phone is needed.

    python -m infra.sandbox --data-dir DIR

environment    what an engine's process needs to find the sandbox; `trust/` is what it loads
process        starts a sandbox as a child and waits until it can be used
__main__ app   that child; how the parts are put together
proxy          web.whatsapp.com leads here, every other host nowhere
certificates   the TLS authority and WhatsApp's own chain
channel        WebSocket → frames → `noise` → `binary` nodes (`tokens`, `messages`, `keys`)
server         one connection from handshake to end, on a `session`
pairing login  an unpaired client with its QR codes; a paired device
phone          the person's side: scan, list, unlink
knobs          how it misbehaves
store files    what is kept in DIR
control web    the HTTP control
errors         what it answers when it cannot do what it was asked

Only what an engine's parent needs is imported here; it costs nothing.
"""

from infra.sandbox.environment import UnsupportedPlatformError, engine_environment

__all__ = ["UnsupportedPlatformError", "engine_environment"]
