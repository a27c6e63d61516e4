-- Lock a user and then one of the user's attempts.
-- The caller reads other tables only in later statements. This function may have waited for another transaction, and
-- only a later statement sees what that transaction has changed.
-- Locks: the user, then the attempt.
-- Writes: nothing.
-- Repeated: the same.
-- Answer: the attempt's user; NULL when the attempt does not exist any more.
CREATE OR REPLACE FUNCTION whatsapp_private.lock_attempt_v1(p_attempt UUID) RETURNS UUID
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  owner CONSTANT UUID := whatsapp_private.user_of_attempt(p_attempt);
BEGIN
  IF owner IS NOT NULL THEN
    PERFORM whatsapp_private.lock_user_v1(owner);
    PERFORM FROM whatsapp_private.attempts a WHERE a.id = p_attempt FOR UPDATE;
  END IF;
  RETURN owner;
END;
$function$;

ALTER FUNCTION whatsapp_private.lock_attempt_v1(UUID) OWNER TO whatsapp_functions;
REVOKE ALL ON FUNCTION whatsapp_private.lock_attempt_v1(UUID) FROM PUBLIC;
