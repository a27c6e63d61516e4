-- Name the user whom a call is about, and make the user's calls follow one another.
-- Locks: the user, by an advisory lock that ends with the transaction.
-- Writes: nothing.
-- Repeated: the same.
CREATE OR REPLACE FUNCTION whatsapp_private.lock_user_v1(p_user UUID) RETURNS VOID
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $function$
BEGIN
  PERFORM set_config('whatsapp.user_id', p_user::TEXT, true);
  PERFORM pg_advisory_xact_lock(hashtextextended('whatsapp-pairing ' || p_user, 0));
END;
$function$;

ALTER FUNCTION whatsapp_private.lock_user_v1(UUID) OWNER TO whatsapp_functions;
REVOKE ALL ON FUNCTION whatsapp_private.lock_user_v1(UUID) FROM PUBLIC;
