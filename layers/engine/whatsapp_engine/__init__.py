"""WhatsApp itself: neonize behind the port of ``whatsapp_pairing.core.engine``.

- ``process``: runs one engine in one child process, watches it, ends it. Does not import neonize.
- ``child``: the child's program, the only module that imports neonize.
- ``protocol``: the lines that go between the two.
- ``lifeline``: what the child reads from its parent, and when the child ends by itself.
- ``store``: which errors of neonize, and which lines of its log, are faults of the database.
"""
