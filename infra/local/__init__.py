"""Runs template.yaml on one machine: `python -m infra.local`.

The *local system* is all that this starts. The *runner* is the process that starts it.

A request goes this way::

    gateway/server            routing, cors and authorizers decide; payload makes the event and reads the answer
       │
    functions/invoker ──> functions/pool ──> functions/instances ──> functions/runtime_api
       ↑                                     one process for each instance, which takes one event after another
       │
    aws/step_functions        the tasks of the workflow, and functions that start functions (moto with moto_fixes)
    aws/schedules             functions that run on a schedule

The other parts:

- ``standins`` replaces Supabase and WhatsApp, and keeps the data between runs.
- ``environment`` removes the caller's variables. ``options`` is the command line.
- ``runner`` starts and ends everything. ``infra.children`` ends the children of a killed runner.
- ``logs`` limits the size of the log files.
- ``errors`` has the errors with which Lambda refuses an invocation.
- ``infra.template`` reads the template, and ``infra.postgres`` runs the embedded Postgres.
"""
