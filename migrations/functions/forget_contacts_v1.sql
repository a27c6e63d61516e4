-- Delete entries of whatsmeow_lid_map and whatsmeow_privacy_tokens when no device is stored. While a device is stored,
-- an entry may be about one of its contacts, and the map does not tell whose contact it is. The entry of a device's own
-- number does not wait for this: forget_number_v1 deletes it together with the keys.
-- Locks: the rows that it deletes. It passes over rows that another transaction has locked.
-- Writes: whatsmeow_lid_map, whatsmeow_privacy_tokens.
-- Repeated: it deletes the next ones.
-- Answer: how many entries; not more than p_limit.
CREATE OR REPLACE FUNCTION whatsapp_private.forget_contacts_v1(p_limit INTEGER) RETURNS INTEGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $function$
DECLARE
  numbers INTEGER;
  tokens INTEGER;
BEGIN
  -- whatsmeow stores a device before its entries. So a statement that sees an entry also sees its device.
  DELETE FROM whatsapp_engine.whatsmeow_lid_map m WHERE m.lid = ANY (ARRAY(
    SELECT old.lid FROM whatsapp_engine.whatsmeow_lid_map old
    WHERE (SELECT min(e.jid) FROM whatsapp_engine.whatsmeow_device e) IS NULL LIMIT p_limit FOR UPDATE SKIP LOCKED
  ));
  GET DIAGNOSTICS numbers = ROW_COUNT;
  DELETE FROM whatsapp_engine.whatsmeow_privacy_tokens t WHERE (t.our_jid, t.their_jid) IN (
    SELECT old.our_jid, old.their_jid FROM whatsapp_engine.whatsmeow_privacy_tokens old
    WHERE (SELECT min(e.jid) FROM whatsapp_engine.whatsmeow_device e) IS NULL LIMIT p_limit - numbers
    FOR UPDATE SKIP LOCKED
  );
  GET DIAGNOSTICS tokens = ROW_COUNT;
  RETURN numbers + tokens;
END;
$function$;

REVOKE ALL ON FUNCTION whatsapp_private.forget_contacts_v1(INTEGER) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION whatsapp_private.forget_contacts_v1(INTEGER) TO whatsapp_worker;
