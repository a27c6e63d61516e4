"""Session rows: each user's row in ``public.whatsapp_sessions``.

A session row is a copy of the session, for Realtime and the product's own code.
"""

from uuid import UUID

from whatsapp_pairing.core.errors import DatabaseRefused, DatabaseUnavailable, SecretUnavailable
from whatsapp_pairing.runtime import metrics
from whatsapp_pairing.runtime.database import Database
from whatsapp_pairing.runtime.observability import logger

# psycopg sends this text as a single query, so it is one exchange. The time limits are shorter than those of the role,
# because cleanup writes later what cannot be written now. SET CONSTRAINTS runs the product's deferred triggers before
# the COMMIT, because Postgres does not apply the time limits inside a COMMIT. note_shown_v1 runs after the COMMIT.
# Otherwise its lock on the entry in sessions would last as long as those triggers.
_WRITE = """
BEGIN;
SET LOCAL lock_timeout = '300ms';
SET LOCAL statement_timeout = '1s';
SELECT whatsapp_private.show_session_v1(%(user)s);
SET CONSTRAINTS ALL IMMEDIATE;
COMMIT;
SELECT whatsapp_private.note_shown_v1(%(user)s, %(version)s) AS behind;
"""

# With this SQLSTATE, show_session_v1 reports that another call is writing the session row.
_ANOTHER_WRITES = "WA001"

# Two calls may write one session row at once. The second call then leaves the row to the first. The first call sees
# that the row is behind, and writes it again. It writes this many times at most.
_ROUNDS = 3


class SessionRows:
    """Writes session rows. If a lock or a constraint prevents a write, pairing goes on without it.

    Parameters
    ----------
    written : bool
        Whether session rows are written at all. A product that does not read them may switch them off.
    """

    def __init__(self, database: Database, written: bool = True) -> None:
        self._database = database
        self.written = written

    def write(self, user_id: UUID, version: int) -> bool:
        """Write the session row as the session is now.

        Parameters
        ----------
        version : int
            The version of the session that the row must show at least.

        Returns
        -------
        bool
            False when the row could not be written. The log says why, and cleanup tries again.
        """
        if not self.written:
            return True
        behind: int | None = version
        try:
            for _ in range(_ROUNDS):
                if behind is not None:
                    behind = self._write(user_id, behind)
        except (DatabaseRefused, DatabaseUnavailable, SecretUnavailable) as error:
            if isinstance(error, DatabaseRefused) and error.sqlstate == _ANOTHER_WRITES:
                return True
            logger.warning("the session row could not be written; cleanup will write it", extra={"why": str(error)})
            metrics.row_behind()
            return False
        return True

    def _write(self, user_id: UUID, version: int) -> int | None:
        row = self._database.run_text(_WRITE, {"user": user_id, "version": version})
        assert row is not None
        behind: int | None = row["behind"]
        return behind
