-- Tell how long cleanup waits before it starts the next unlink of a given-up device.
-- p_starts says how many unlinks cleanup has started for it. The first pause lasts 4 minutes. A QR can be scanned for
-- 160 seconds, so the device has its keys by then, or it never gets any. Each further pause is twice as long, up to a
-- day, because WhatsApp may refuse an unlink for long (a ban, an outdated engine).
-- Locks: nothing.
-- Writes: nothing.
CREATE OR REPLACE FUNCTION whatsapp_private.unlink_pause_v1(p_starts INTEGER) RETURNS INTERVAL
LANGUAGE sql IMMUTABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  SELECT least(interval '4 minutes' * 2 ^ least(p_starts, 10), interval '1 day')
$function$;

ALTER FUNCTION whatsapp_private.unlink_pause_v1(INTEGER) OWNER TO whatsapp_functions;
REVOKE ALL ON FUNCTION whatsapp_private.unlink_pause_v1(INTEGER) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION whatsapp_private.unlink_pause_v1(INTEGER) TO whatsapp_worker;
