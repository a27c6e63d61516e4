"""All SQL. Every transition is one compare-and-set statement in one transaction.

A write about an attempt names the attempt, and for a linker its lease, in the WHERE clause: a late event of an old
attempt changes nothing. Deadlines and leases are compared with the database's clock only.

- ``attempts``: what the API and the workflow do to an attempt.
- ``leases``: what the one live linker does to it.
- ``devices``: which keys belong to whom, and their removal.
- ``sessions``: what the user sees, read as the user.
- ``sweeps``: what cleanup looks for.
"""
