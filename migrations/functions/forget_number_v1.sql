-- Delete what whatsmeow keeps about an account besides keys, when a device of this account goes.
-- p_jid and p_fingerprint name this device.
--   Privacy tokens of the JID: the function deletes them, unless another device has the JID now.
--   The entry that maps the account's hidden id (LID) to its number: the function deletes it, unless another stored
--   device has the number.
-- These two tables have no foreign key to the device's row. whatsmeow's other tables have one, so Postgres deletes
-- their rows together with the device's row.
-- Locks: the number's entry. If the last two devices of a number go at once, the second call waits for the first. It
-- then sees that the first device is gone.
-- Writes: whatsmeow's tables.
-- Repeated: nothing more changes.
CREATE OR REPLACE FUNCTION whatsapp_private.forget_number_v1(p_jid TEXT, p_fingerprint BYTEA) RETURNS VOID
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  number CONSTANT TEXT := substring(p_jid FROM '^[0-9]+');
BEGIN
  PERFORM FROM whatsapp_engine.whatsmeow_lid_map m WHERE m.pn = number FOR UPDATE;
  DELETE FROM whatsapp_engine.whatsmeow_privacy_tokens t
  WHERE t.our_jid = p_jid AND NOT EXISTS (
    SELECT FROM whatsapp_engine.whatsmeow_device e WHERE e.jid = p_jid AND sha256(e.adv_key) <> p_fingerprint
  );
  DELETE FROM whatsapp_engine.whatsmeow_lid_map m
  WHERE m.pn = number AND NOT EXISTS (
    SELECT FROM whatsapp_engine.whatsmeow_device e
    WHERE substring(e.jid FROM '^[0-9]+') = number AND sha256(e.adv_key) <> p_fingerprint
  );
END;
$function$;

REVOKE ALL ON FUNCTION whatsapp_private.forget_number_v1(TEXT, BYTEA) FROM PUBLIC;
