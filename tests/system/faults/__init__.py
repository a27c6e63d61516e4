"""Nothing kills a pairing: the system under kills, silence, lost stores and impatient people.

- ``system``: one whole system with a Postgres of its own, and what a case may do to it.
- ``template``, ``layer``, ``proxy``, ``wire``: the copy of template.yaml that a system runs, what is loaded into its
  functions, the AWS that they call, and their way to Postgres.
- ``checker``: what must not be left behind.
- ``suite``: runs cases on several worlds at once and counts their ends.
- ``processes``, ``network``, ``people``, ``changes``, ``store``, ``aws``, ``clocks``: the cases.

``python -m tests.system.faults`` prints the table; ``test_faults.py`` makes a test of every case.
"""
