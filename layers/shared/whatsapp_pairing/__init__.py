"""The domain: it links a person's WhatsApp to their account. It does not depend on Lambda.

Each feature has a folder. A folder imports only from the folders below it in this list:

- ``payloads``, ``cleanup``, ``probe`` and ``web``: what only the handlers in ``functions/`` use.
- ``session``: what a user sees of their WhatsApp.
- ``pairing``, ``keeper``: from the click to the linked device, and the work on that device later. Neither imports the
other.
- ``runtime``: settings, Postgres, AWS, logs, metrics, leases.
- ``core``: words and rules, for example reasons, errors and the port to WhatsApp.
"""
