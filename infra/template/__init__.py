"""Reads template.yaml as SAM would deploy it, and returns plain data. The build, the local system and the tests use it.

``reading.read_template`` returns a ``StackDefinition``: the functions, layers, routes, schedules and the workflow.

- ``stack_definition``: the classes of this data.
- ``reading``: reads functions, layers and the workflow. ``http`` reads routes, authorizers and CORS, and ``schedules``
  reads schedules.
- ``resources``: finds the resources of a type, and resolves their values. ``parameters`` checks the values that a
  person gives. ``intrinsics`` resolves ``!Ref``, ``!Sub``, ``!If`` and the like.
- ``nested``: makes sure that nothing in a nested template has to run.
"""
