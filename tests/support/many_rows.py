"""Fills a database with many users by a few statements. Most are connected; some have rows that cleanup looks for."""

from __future__ import annotations

from tests.support.repositories import World

# The users come in groups of ``stale`` (``kind``). All users outside of these groups are connected. JIDs and secrets
# follow from a user's number.
#   0: attempts that lost their workflow
#   1: stuck session rows
#   2: devices of deleted users
#   3: offered devices without a scan
#   4: keys that should be deleted
_FILL = """
CREATE TEMP TABLE crowd AS
SELECT n, gen_random_uuid() AS "user", gen_random_uuid() AS attempt, n / {stale} AS kind,
       sha256(int8send(n)) AS secret, sha256(sha256(int8send(n))) AS fingerprint,
       '52155' || lpad(n::text, 8, '0') || ':1@s.whatsapp.net' AS jid
FROM generate_series(0, {users} - 1) n;

INSERT INTO auth.users (id) SELECT "user" FROM crowd;

INSERT INTO whatsapp_private.attempts
  (id, user_id, number, phase, started_at, deadline, legs, qr_shown_at, ended_at, outcome)
SELECT attempt, "user", 1, 'auth', at, at + interval '4 min', 1, at,
       CASE WHEN kind > 0 THEN at + interval '1 min' END, CASE WHEN kind > 0 THEN 'connected' END
FROM crowd, LATERAL (SELECT now() - interval '1 h' - n * interval '1 s' AS at) t WHERE kind <> 2;

INSERT INTO public.whatsapp_sessions (user_id, session_status, phone_number, updated_at)
SELECT "user", CASE WHEN kind <= 1 THEN 'waiting_qr' WHEN kind <= 4 THEN 'disconnected' ELSE 'connected' END,
       substring(jid FROM '^[0-9]+'), now() - interval '1 h' - n * interval '1 s'
FROM crowd WHERE kind <> 2;

INSERT INTO whatsapp_private.devices (user_id, attempt_id, fingerprint, jid, state, created_at, unlink_due_at)
SELECT CASE WHEN kind <> 2 THEN "user" END, attempt, fingerprint, CASE WHEN kind NOT IN (0, 3) THEN jid END,
       CASE WHEN kind <= 1 THEN 'offered' WHEN kind IN (3, 4) THEN 'unlinking' ELSE 'linked' END, at,
       CASE WHEN kind IN (3, 4) THEN at + interval '4 min' END
FROM crowd, LATERAL (SELECT now() - interval '1 h' - n * interval '1 s' AS at) t WHERE kind <> 1;

INSERT INTO whatsapp_private.sessions (user_id, version, shown_version) SELECT "user", 2, 2 FROM crowd WHERE kind <> 2;

INSERT INTO whatsapp_engine.whatsmeow_device (jid, registration_id, noise_key, identity_key, signed_pre_key,
  signed_pre_key_id, signed_pre_key_sig, adv_key, adv_details, adv_account_sig, adv_account_sig_key, adv_device_sig)
SELECT jid, 1, secret, secret, secret, 1, secret || secret, secret, '', secret || secret, secret, secret || secret
FROM crowd WHERE kind IN (2, 4) OR kind > 4 AND n < {keys};

DROP TABLE crowd;
"""
TABLES = (
    "auth.users",
    "whatsapp_private.attempts",
    "whatsapp_private.devices",
    "whatsapp_private.sessions",
    "public.whatsapp_sessions",
    "whatsapp_engine.whatsmeow_device",
)


def fill(world: World, users: int, stale: int, keys: int | None = None) -> None:
    """Add users to an empty database, ``stale`` in each group. The first ``keys`` devices (default: all) have keys."""
    world.sql(_FILL.format(users=users, stale=stale, keys=users if keys is None else keys))
    for table in TABLES:
        world.sql(f"VACUUM ANALYZE {table}")
