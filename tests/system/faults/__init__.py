"""Real pairings are disturbed: killed processes, a silent WhatsApp, a lost database, users who click too much.

- ``cases``: the disturbances, by kind.
- ``suite``: runs cases on several systems at once and counts their ends.
- ``disturbed_system``: one whole system with a Postgres of its own, and the faults that a case may cause.
- ``disturbed_pairing``: one person with one phone who pairs in it.
- ``template``, ``layer``: the copy of template.yaml that such a system runs, and a layer for its functions.
- ``aws_proxy``, ``postgres_proxy``: what stands between the functions and AWS, and between them and Postgres.
- ``leftovers``: what must not be left behind.

``python -m tests.system.faults`` prints the table. ``test_faults.py`` makes a test of every case.
"""
