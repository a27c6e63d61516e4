"""Linking a person's WhatsApp to their account: the domain, which knows nothing of Lambda.

One folder for each feature. A folder imports only from the folders below it in this list:

- ``payloads``, ``cleanup``, ``probe`` and ``web``: what the handlers in ``functions/`` use first.
- ``session``: what a user sees of their WhatsApp.
- ``pairing``, ``keeper``: from the click to the linked device, and what happens with it later. Neither knows the other.
- ``runtime``: settings, Postgres, AWS, logs, metrics, leases.
- ``core``: words and rules: reasons, errors, the port to WhatsApp.
"""
