"""The sandbox: a simulated WhatsApp. Real clients pair with it, log in and log out, and no phone is needed.

    python -m infra.sandbox --data-dir DIR

environment    the variables with which an engine's process finds the sandbox; that process loads `trust/`
process        starts a sandbox as a child and waits until it can be used
__main__ app   the child: `app` puts the parts together
proxy          leads web.whatsapp.com to the sandbox, and refuses every other host
certificates   the TLS authority and WhatsApp's own chain of certificates
channel        one connection: WebSocket → frames → `noise` → `binary` nodes (`tokens`, `messages`, `keys`)
server client  accepts the connections; one connected client
pairing login  an unpaired client with its QR codes; a paired device
phone          the phones of the people: they scan, list and unlink
knobs          the settings that make the sandbox misbehave
store files    the data in DIR
control web    the HTTP control
errors         the refusals of the HTTP control

This module imports only what the parent of an engine's process needs, so the import is cheap.
"""

from infra.sandbox.environment import UnsupportedPlatformError, engine_environment

__all__ = ["UnsupportedPlatformError", "engine_environment"]
