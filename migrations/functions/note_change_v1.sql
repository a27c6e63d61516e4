-- Note that a user's session has changed, and keep or clear its QR. The user's row is behind from now on.
-- Locks: the session. The caller holds the user.
-- Writes: sessions. Never the user's row.
-- Repeated: one more version, which harms nothing.
CREATE OR REPLACE FUNCTION whatsapp_private.note_change_v1(p_user UUID, p_qr TEXT) RETURNS BIGINT
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  at CONSTANT TIMESTAMPTZ := clock_timestamp();
  changed BIGINT;
BEGIN
  INSERT INTO whatsapp_private.sessions (user_id) VALUES (p_user) ON CONFLICT (user_id) DO NOTHING;
  -- The call that changes the session writes the row itself. Cleanup does it a minute later if that call could not.
  UPDATE whatsapp_private.sessions s SET
    qr_code = p_qr, version = s.version + 1, changed_at = at, show_due_at = at + interval '1 minute'
  WHERE s.user_id = p_user
  RETURNING s.version INTO changed;
  RETURN changed;
END;
$function$;

ALTER FUNCTION whatsapp_private.note_change_v1(UUID, TEXT) OWNER TO whatsapp_functions;
REVOKE ALL ON FUNCTION whatsapp_private.note_change_v1(UUID, TEXT) FROM PUBLIC;
