-- Lock a user, and name the user to row level security.
-- So the state changes of a user run one after another, and nobody deletes the user meanwhile.
-- Locks: the user, by an advisory lock that ends with the transaction; then the user in auth.users, as a foreign key
-- does (hold_user).
-- Writes: nothing.
-- Repeated: the same.
CREATE OR REPLACE FUNCTION whatsapp_private.lock_user_v1(p_user UUID) RETURNS VOID
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
  PERFORM set_config('whatsapp.user_id', p_user::TEXT, true);
  PERFORM pg_advisory_xact_lock(hashtextextended('whatsapp-pairing ' || p_user, 0));
  PERFORM whatsapp_private.hold_user(p_user);
END;
$function$;

ALTER FUNCTION whatsapp_private.lock_user_v1(UUID) OWNER TO whatsapp_functions;
REVOKE ALL ON FUNCTION whatsapp_private.lock_user_v1(UUID) FROM PUBLIC;
