-- Count the entries that forget_contacts_v1 would delete now.
-- Locks: nothing.
-- Writes: nothing.
CREATE OR REPLACE FUNCTION whatsapp_private.count_contacts_v1() RETURNS BIGINT
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $function$
BEGIN
  RETURN (
    SELECT count(*) FROM (
      SELECT FROM whatsapp_engine.whatsmeow_lid_map UNION ALL SELECT FROM whatsapp_engine.whatsmeow_privacy_tokens
    ) AS entries
    WHERE (SELECT min(e.jid) FROM whatsapp_engine.whatsmeow_device e) IS NULL
  );
END;
$function$;

REVOKE ALL ON FUNCTION whatsapp_private.count_contacts_v1() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION whatsapp_private.count_contacts_v1() TO whatsapp_worker;
