-- Forget what whatsmeow keeps about an account besides the keys, when the device with this JID and fingerprint goes.
-- Delete its privacy tokens, unless another device now has the JID. Delete the entry that maps the account's hidden id
-- to its number, unless another stored device has the number. Most of whatsmeow's tables refer to the device's row by
-- cascading foreign keys. The tables of tokens and numbers do not.
-- Locks: the number's entry. When the last two devices go at once, the second then sees that the first is gone.
-- Writes: whatsmeow_privacy_tokens, whatsmeow_lid_map.
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
