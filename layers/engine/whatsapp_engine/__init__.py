"""The connection to WhatsApp: it runs neonize behind the port of ``whatsapp_pairing.core.engine``.

- ``process``: starts one engine in one child process, watches it and ends it. It does not import neonize.
- ``child``: the child's program, and the only module that imports neonize.
- ``protocol``: the lines that parent and child send to each other.
- ``lifeline``: reads the parent's lines in the child, and ends the child when its time is over.
- ``environment``: the variables that the child gets.
- ``logins``: the engine's logins at its database and its proxy, and what follows when one is refused.
- ``proxy``: checks the proxy's URL, and tells which errors are the proxy's.
- ``store``: tells which errors of neonize, and which lines of its log, are faults of the engine's database.
- ``tables``: has whatsmeow create its tables, for ``infra.migrate``.
"""
