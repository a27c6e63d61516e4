"""All SQL of the functions: calls of database functions, and statements on one table.

A state change is one database function (migrations/functions/) and one exchange. Every write of a linker names attempt
and lease, so a late event of an old attempt or a replaced linker changes nothing. Postgres compares deadlines and
leases with its own clock only.

- ``attempts``: the calls of API and workflow about an attempt.
- ``leases``: the calls of a linker about its attempt.
- ``sessions``: the session, as the user sees it.
- ``rows``: the user's row in ``public.whatsapp_sessions``, which follows the session.
- ``devices``: the unlink's calls about a given-up device.
- ``sweeps``: the statements of cleanup.
"""
