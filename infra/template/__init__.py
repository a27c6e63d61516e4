"""Reads template.yaml: what SAM would deploy, as plain data. The build, the local runner and the tests use it.

``reading.read_template`` returns a ``stack.Stack``: the functions, layers, routes, schedules and the workflow.

- ``stack``: the data.
- ``reading``: functions, layers and workflow; ``http``: routes, authorizer and CORS; ``schedules``: the schedules.
- ``resources``: the resources of a kind, with their values resolved. ``parameters`` checks what a person gives,
  and ``intrinsics`` resolves ``!Ref``, ``!Sub``, ``!If`` and the like.
- ``nested``: the rule that nothing of a nested template has to run.
"""
