"""The columns of an attempt and how the user's row follows it."""

from whatsapp_pairing.database import Connection, Database, Row
from whatsapp_pairing.reasons import Reason
from whatsapp_pairing.session import QR_GRACE_SECONDS, Attempt, Phase

# Of whatsapp_private.attempts a: whether a phone has linked a device for it.
SCANNED = """EXISTS (
    SELECT FROM whatsapp_private.devices d WHERE d.attempt_id = a.id AND d.state IN ('linking', 'linked')
  )"""

# Of whatsapp_private.attempts a.
ATTEMPT = f"""
  a.id, a.user_id, a.number, a.phase, a.started_at, a.deadline,
  extract(epoch FROM clock_timestamp() - a.started_at)::float8 AS age,
  extract(epoch FROM a.deadline - clock_timestamp())::float8 AS remaining, a.task_token,
  coalesce(a.lease_expires_at > clock_timestamp(), false) AS alive, a.legs,
  a.qr_shown_at IS NOT NULL AS qr_shown, a.reachable, a.verdict, a.outcome, a.qr_expires_at,
  coalesce(a.qr_expires_at + make_interval(secs => {QR_GRACE_SECONDS}) > clock_timestamp(), false) AS qr_fresh,
  {SCANNED} AS scanned
"""

# Written by the same statement that changes the attempt, in a CTE after its "a". The row may be missing: it is the
# user's, who may delete it. Not "excluded.qr_code": our roles may write a QR and not read one.
SHOW = """
  INSERT INTO public.whatsapp_sessions AS s (user_id, session_status, qr_code)
  SELECT user_id, %(status)s, %(qr)s FROM a
  ON CONFLICT (user_id) DO UPDATE SET session_status = %(status)s, qr_code = %(qr)s
"""

# Of the devices in the CTE "released": those that have keys, so that a phone may list them.
RELEASED_WITH_KEYS = """
  coalesce((
    SELECT array_agg(r.id) FROM released r
    WHERE r.jid IS NOT NULL OR whatsapp_private.stored_jid(r.fingerprint) IS NOT NULL
  ), '{}')
"""


# Before a statement that reads an attempt's devices. It may have to wait for another that binds one, and would then see
# the attempt as it is now, but the devices as they were when it began: so it begins when the waiting is over.
LOCK = "SELECT FROM whatsapp_private.attempts a WHERE a.id = %(id)s FOR UPDATE"


class Table:
    """Base of the repositories: each call is one transaction, of one statement where nothing must be locked first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def _one_locked(self, lock: str, statement: str, **parameters: object) -> Row | None:
        def work(connection: Connection) -> Row | None:
            connection.execute(lock, parameters)
            return connection.execute(statement, parameters).fetchone()

        return self._database.run(work)

    def _one(self, statement: str, **parameters: object) -> Row | None:
        return self._database.run_one(lambda connection: connection.execute(statement, parameters).fetchone())

    def _do(self, statement: str, **parameters: object) -> None:
        self._database.run_one(lambda connection: connection.execute(statement, parameters))

    def _all(self, statement: str, **parameters: object) -> list[Row]:
        return self._database.run_one(lambda connection: connection.execute(statement, parameters).fetchall())


def attempt_from(row: Row | None) -> Attempt | None:
    """Return the attempt whose columns ``ATTEMPT`` selected."""
    if row is None:
        return None
    fields = {name: row[name] for name in Attempt.__dataclass_fields__}
    return Attempt(**fields | {"phase": Phase(row["phase"]), "verdict": Reason.parse(row["verdict"])})
