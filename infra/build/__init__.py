"""Builds what Lambda gets: `make build`, which has SAM call `recipe.mk`, which calls `python -m infra.build`.

- ``steps``: a layer, a function, and the runtime that Lambda would give (for running the artifacts here)
- ``wheels``: pinned, hash-checked packages for the target, from any Python that runs pip
- ``trim``: what a layer can do without
- ``interpreter``: the target's Python on this machine, where there is one; it compiles and runs the artifacts
- ``elf``: what a shared library needs
- ``table``: sizes and import times

Everything but ``table`` needs no package, so it runs wherever SAM finds a Python.
"""

# template.yaml's Runtime.
VERSION = (3, 13)
