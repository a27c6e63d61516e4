"""Builds the artifacts that Lambda gets. `make build` runs SAM, SAM runs `recipe.mk`, and this runs `infra.build`.

- ``steps``: builds a layer or a function, and installs the packages of Lambda's image to run the artifacts here
- ``wheels``: installs packages for Lambda from a lock with hashes, with any Python that runs pip
- ``trim``: removes from a layer what nobody needs there
- ``interpreter``: finds Lambda's version of Python on this machine. It compiles and runs the artifacts
- ``samconfig``: looks for what `sam deploy` would ignore in samconfig.toml
- ``pin``: makes a built template accept only the processor that was built for
- ``table``: lists sizes and import times
- ``dependencies``: lists versions, licences and sizes of what is shipped
- ``audit``: lists known vulnerabilities of everything that is locked

SAM runs the build with any Python, so the first four modules need no package. ``samconfig`` and ``pin`` need PyYAML,
which comes with SAM. ``table`` and ``dependencies`` need the packages of ``make setup``. ``audit`` runs the pip-audit
of ``make security-tools``.
"""

# The Runtime of template.yaml. The other modules call this version "Lambda's Python".
VERSION = (3, 13)
