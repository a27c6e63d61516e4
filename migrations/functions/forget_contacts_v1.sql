-- Delete what whatsmeow knows of contacts, when no device is stored.
-- These are the entries of whatsmeow_lid_map and whatsmeow_privacy_tokens. While a device is stored, an entry may be
-- about one of its contacts, and the map does not say whose contact it is. The entry of a device's own number goes
-- earlier: forget_number_v1 deletes it together with the keys.
-- Locks: the entries that it deletes. It passes over entries that another transaction has locked.
-- Writes: whatsmeow's tables.
-- Repeated: it deletes the next entries.
-- Answer: how many entries it has deleted; at most p_limit.
CREATE OR REPLACE FUNCTION whatsapp_private.forget_contacts_v1(p_limit INTEGER) RETURNS INTEGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $function$
DECLARE
  numbers INTEGER;
  tokens INTEGER;
BEGIN
  -- Look for devices in the statement that chooses the entries. whatsmeow stores a device before its entries, so this
  -- statement sees the device of each entry that it sees.
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
