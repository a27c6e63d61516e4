-- Give up devices that have keys and no binding.
-- Each gets a binding without a user and without an attempt. Its unlink is due at once.
-- Locks: nothing.
-- Writes: devices.
-- Repeated: it gives up the next devices.
-- Answer: how many devices it has given up.
CREATE OR REPLACE FUNCTION whatsapp_private.give_up_unexplained_v1(p_limit INTEGER) RETURNS INTEGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  at CONSTANT TIMESTAMPTZ := clock_timestamp();
  given_up INTEGER;
BEGIN
  PERFORM set_config('whatsapp.user_id', 'all', true);
  INSERT INTO whatsapp_private.devices (fingerprint, jid, state, created_at, unlink_due_at)
  SELECT k.fingerprint, k.jid, 'unlinking', at, at FROM whatsapp_private.unexplained_keys_v1(p_limit, at) k
  ON CONFLICT (fingerprint) DO NOTHING;
  GET DIAGNOSTICS given_up = ROW_COUNT;
  RETURN given_up;
END;
$function$;

ALTER FUNCTION whatsapp_private.give_up_unexplained_v1(INTEGER) OWNER TO whatsapp_functions;
REVOKE ALL ON FUNCTION whatsapp_private.give_up_unexplained_v1(INTEGER) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION whatsapp_private.give_up_unexplained_v1(INTEGER) TO whatsapp_worker;
