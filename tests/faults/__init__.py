"""Nothing kills a pairing: the system under kills, silence, lost stores and impatient people.

- ``world``: one whole system with a Postgres of its own, and what a case may do to it.
- ``template``, ``layer``, ``proxy``: the copy of template.yaml that a world runs, what is loaded into its functions,
  and the AWS that they call.
- ``checker``: what must not be left behind.
- ``suite``: runs cases on several worlds at once and counts their ends.
- ``processes``, ``network``, ``people``, ``store``, ``aws``, ``clocks``: the cases.

``python -m tests.faults`` prints the table; ``test_faults.py`` makes a test of every case.
"""
