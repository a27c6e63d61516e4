"""The user's row in ``public.whatsapp_sessions``: a copy of the session, for Realtime and the product's own code."""

from uuid import UUID

from whatsapp_pairing import counting
from whatsapp_pairing.database import Database
from whatsapp_pairing.errors import StoreRefused, StoreUnavailable
from whatsapp_pairing.observability import logger

# One text is one exchange. The limits are shorter than the role's, because a row that cannot be written now is written
# by cleanup. SET CONSTRAINTS runs the product's deferred triggers within the limits, which a COMMIT does not have. The
# version is noted after the COMMIT, so that no lock on the session waits for the product's triggers.
_WRITE = """
BEGIN;
SET LOCAL lock_timeout = '300ms';
SET LOCAL statement_timeout = '1s';
SELECT whatsapp_private.show_session_v1(%(user)s);
SET CONSTRAINTS ALL IMMEDIATE;
COMMIT;
SELECT whatsapp_private.note_shown_v1(%(user)s, %(version)s) AS behind;
"""

# While one call writes the row, another passes over it. The first then writes what the other has changed.
_ROUNDS = 3


class Rows:
    """Writes users' rows. The row may be locked, constrained or gone, so writing it may fail and nothing else does.

    Parameters
    ----------
    written : bool
        Whether rows are written at all. A product that reads none needs none.
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
        except (StoreRefused, StoreUnavailable) as error:
            logger.warning("the user's row could not be written; cleanup will do it", extra={"why": str(error)})
            counting.row_behind()
            return False
        return True

    def _write(self, user_id: UUID, version: int) -> int | None:
        row = self._database.run_text(_WRITE, {"user": user_id, "version": version})
        assert row is not None
        behind: int | None = row["behind"]
        return behind
