"""All SQL of the functions: calls of database functions, and statements on one table.

A state change is one database function (migrations/functions/) and one exchange. A write about an attempt names the
attempt, and for a linker its lease, so a late event of an old attempt changes nothing. Postgres compares deadlines and
leases with its own clock only.

- ``attempts``: what the API and the workflow do to an attempt.
- ``leases``: what the one live linker does to it.
- ``sessions``: what the user sees.
- ``rows``: the user's row in ``public.whatsapp_sessions``, which follows the session.
- ``devices``: devices on their way out.
- ``sweeps``: what cleanup looks for.
"""
