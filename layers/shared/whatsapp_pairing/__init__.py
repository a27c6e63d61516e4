"""Linking a person's WhatsApp to their account: the domain, which knows nothing of Lambda or HTTP frameworks.

The map, from the inside out (imports point upwards in this list):

- ``reasons``: why a pairing ended, for machines and for people; ``notices``: what a person is asked to do meanwhile.
- ``results``: every result, the good ones too.
- ``refusals``: why a request has no user; ``assurance``: how strongly the user has signed in.
- ``errors``: the exception tree.
- ``session``: what an attempt may do next; pure.
- ``observability``: logs and metrics; ``backoff``: ever longer pauses.
- ``limits``: how long the calls of one invocation may take, together and for a lock.
- ``settings``: the typed environment, read on first use.
- ``database_url``: the database's URL as people copy it, in the one form that all drivers read alike.
- ``engine``: the port to WhatsApp: what may be asked, which events come back.
- ``database`` with ``dialing``, ``repository``: one connection, all SQL.
- ``counting``: the metrics, one function for each thing that happens.
- ``workflow``: calls to Step Functions and to the asynchronous functions.
- ``pairing``: the use cases connect, open phase, settle phase, disconnect.
- ``linking``: the linker's loop between engine, repository and workflow; ``holding``: its lease, heartbeat and window.
- ``unlinking``, ``cleaning``: how a device is removed, and what the schedule sweeps up.
- ``probing``: whether WhatsApp still gives this engine a QR.
- ``identity`` with ``published_keys``, ``http`` with ``negotiation``, ``payloads``, ``qr``: the edges.
"""
