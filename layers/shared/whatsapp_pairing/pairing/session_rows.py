"""The session row in ``public.whatsapp_sessions``: a copy of the session, for Realtime and the product's own code."""

from uuid import UUID

from whatsapp_pairing.core.errors import SecretUnavailable, StoreRefused, StoreUnavailable
from whatsapp_pairing.runtime import metrics
from whatsapp_pairing.runtime.database import Database
from whatsapp_pairing.runtime.observability import logger

# psycopg sends this text as a single query, so it is one exchange. The time limits are shorter than the role's, because
# cleanup writes a row that cannot be written now. SET CONSTRAINTS runs the product's deferred triggers within the
# limits; a COMMIT has none. The version is noted after the COMMIT, so that no lock on the session waits for those
# triggers.
_WRITE = """
BEGIN;
SET LOCAL lock_timeout = '300ms';
SET LOCAL statement_timeout = '1s';
SELECT whatsapp_private.show_session_v1(%(user)s);
SET CONSTRAINTS ALL IMMEDIATE;
COMMIT;
SELECT whatsapp_private.note_shown_v1(%(user)s, %(version)s) AS behind;
"""

# The code of show_session_v1 for a row that another call is writing.
_ANOTHER_WRITES = "WA001"

# Two calls may write the row at once. The second call passes over it, and the first then sees that the row is behind
# and writes it again, this often at most.
_ROUNDS = 3


class SessionRows:
    """Writes session rows. If a row is locked or a constraint refuses it, the write fails, and pairing goes on.

    Parameters
    ----------
    written : bool
        Whether session rows are written at all. A product that reads none needs none.
    """

    def __init__(self, database: Database, written: bool = True) -> None:
        self._database = database
        self.written = written

    def write(self, user_id: UUID, version: int) -> bool:
        """Write the row as the session is now.

        Parameters
        ----------
        version : int
            Of the session that the row must show at least.

        Returns
        -------
        bool
            False when it could not be written. The log says why, and cleanup tries again.
        """
        if not self.written:
            return True
        behind: int | None = version
        try:
            for _ in range(_ROUNDS):
                if behind is not None:
                    behind = self._write(user_id, behind)
        except (StoreRefused, StoreUnavailable, SecretUnavailable) as error:
            if isinstance(error, StoreRefused) and error.sqlstate == _ANOTHER_WRITES:
                return True
            logger.warning("the user's row could not be written; cleanup will do it", extra={"why": str(error)})
            metrics.row_behind()
            return False
        return True

    def _write(self, user_id: UUID, version: int) -> int | None:
        row = self._database.run_text(_WRITE, {"user": user_id, "version": version})
        assert row is not None
        behind: int | None = row["behind"]
        return behind
