"""Lets an instance that SnapStart restores begin anew: without old connections, secrets, keys and random numbers.

SnapStart takes a snapshot after a function's code is loaded. Hours or weeks later, it starts many instances from that
snapshot. So each cache is emptied before the snapshot and after the restore. By then, connections are dead and secrets
may have changed. The monotonic clock goes on from the moment of the snapshot, so an old value would seem fresh.

Our functions open no connection while they are loaded. So no state of OpenSSL's random generator is in the snapshot.
Ids come from the kernel, which Lambda seeds anew.
"""

import random
from collections.abc import Callable

try:
    # Lambda's image has this module. Our own environments install it (pyproject.toml, runtime).
    from snapshot_restore_py import register_after_restore, register_before_snapshot
except ImportError:  # a tool that imports our modules, for example infra.migrate
    _HOOKS: tuple[Callable[..., object], ...] = ()
else:
    _HOOKS = (register_before_snapshot, register_after_restore)


def forget(call: Callable[[], object]) -> None:
    """Register a call that empties a cache. It runs before each snapshot, and again after each restore."""
    for register in _HOOKS:
        register(call)


# Otherwise all instances of one snapshot would choose the same pauses.
forget(random.seed)
