"""Builds what Lambda gets: `make build`, which has SAM call `recipe.mk`, which calls `python -m infra.build`.

- ``steps``: a layer, a function, and the runtime that Lambda would give (for running the artifacts here)
- ``wheels``: pinned, hash-checked packages for the target, from any Python that runs pip
- ``trim``: what a layer can do without
- ``interpreter``: the target's Python on this machine, where there is one; it compiles and runs the artifacts
- ``pin``: a built template is for the processor that was built for
- ``table``: sizes and import times
- ``dependencies``: versions, licences and weight of what is shipped
- ``audit``: known vulnerabilities of everything that is locked

A build runs wherever SAM finds a Python, so the first four need no package. ``pin`` needs PyYAML, which SAM brings;
``table`` and ``dependencies`` need what ``make setup`` installs; ``audit`` is given a pip-audit to call.
"""

# template.yaml's Runtime.
VERSION = (3, 13)
