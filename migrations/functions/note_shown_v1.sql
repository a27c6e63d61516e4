-- Note that the session row shows at least the version p_version.
-- Locks: the user's entry in sessions.
-- Writes: sessions.
-- Repeated: the same.
-- Answer: the session's version when the session row is still behind; otherwise NULL.
CREATE OR REPLACE FUNCTION whatsapp_private.note_shown_v1(p_user UUID, p_version BIGINT) RETURNS BIGINT
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  behind BIGINT;
BEGIN
  PERFORM set_config('whatsapp.user_id', p_user::TEXT, true);
  UPDATE whatsapp_private.sessions s SET shown_version = greatest(s.shown_version, p_version)
  WHERE s.user_id = p_user
  RETURNING CASE WHEN s.behind THEN s.version END INTO behind;
  RETURN behind;
END;
$function$;

ALTER FUNCTION whatsapp_private.note_shown_v1(UUID, BIGINT) OWNER TO whatsapp_functions;
REVOKE ALL ON FUNCTION whatsapp_private.note_shown_v1(UUID, BIGINT) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION whatsapp_private.note_shown_v1(UUID, BIGINT) TO whatsapp_api, whatsapp_worker;
