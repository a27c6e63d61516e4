"""Tries another version of neonize in a copy of the repository. `make engine VERSION=x.y.z` runs it.

- ``candidate``: makes the copy, with the version's locks, environment and snapshot
- ``needs`` and ``interface``: compare what ``child.py`` needs with what a neonize offers
- ``first_qr``: starts the child alone
- ``suites``: runs the tests that use the engine
- ``upgrade``: upgrades a database with a paired device, and looks for a way back
- ``stored_rows``: compares the rows before and after an upgrade
- ``deployment``: a local system that one of the two checkouts runs
- ``layers``: builds the engine layers of both versions, and compares them
- ``bounded``: runs one command with a limit of time
- ``report``: prints one line per check
"""
