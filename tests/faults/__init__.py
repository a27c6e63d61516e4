"""Nothing kills a pairing: the system under kills, silence, lost stores and impatient people.

- ``world``: one whole system with a Postgres of its own, and what a case may do to it.
- ``checker``: what must not be left behind.
- ``suite``: runs cases on several worlds at once and counts their ends.
- ``processes``, ``network``, ``store``, ``people``: the cases.

``python -m tests.faults`` prints the table; ``test_faults.py`` makes a test of every case.
"""
