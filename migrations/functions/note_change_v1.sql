-- Count a change of a user's session, and store the session's QR (p_qr is NULL: clear it).
-- From now on the session row is behind.
-- Locks: the user's entry in sessions. The caller holds the user.
-- Writes: sessions. Never the session row.
-- Repeated: the version grows once more, which harms nothing.
-- Answer: the session's new version.
CREATE OR REPLACE FUNCTION whatsapp_private.note_change_v1(p_user UUID, p_qr TEXT) RETURNS BIGINT
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  at CONSTANT TIMESTAMPTZ := clock_timestamp();
  changed BIGINT;
BEGIN
  INSERT INTO whatsapp_private.sessions (user_id) VALUES (p_user) ON CONFLICT (user_id) DO NOTHING;
  -- The caller writes the session row right after this change. If it could not, cleanup writes the row a minute later.
  UPDATE whatsapp_private.sessions s SET
    qr_code = p_qr, version = s.version + 1, changed_at = at, show_due_at = at + interval '1 minute'
  WHERE s.user_id = p_user
  RETURNING s.version INTO changed;
  RETURN changed;
END;
$function$;

ALTER FUNCTION whatsapp_private.note_change_v1(UUID, TEXT) OWNER TO whatsapp_functions;
REVOKE ALL ON FUNCTION whatsapp_private.note_change_v1(UUID, TEXT) FROM PUBLIC;
