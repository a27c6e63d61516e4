-- WhatsApp gives a JID out again. Each device keeps to its own keys, and a number goes with the last keys that need it.

SET LOCAL lock_timeout = '5s';

-- forget_v1 takes its place.
DROP FUNCTION whatsapp_private.forget_device(UUID, UUID);

-- Cleanup gives keys without a binding one. No attempt has offered these devices, so their attempt_id is NULL.
ALTER TABLE whatsapp_private.devices ALTER COLUMN attempt_id DROP NOT NULL;
GRANT INSERT (jid, state, unlink_due_at) ON whatsapp_private.devices TO whatsapp_functions;

-- take_device_v1 writes the JID.
REVOKE UPDATE (jid) ON whatsapp_private.devices FROM whatsapp_worker;

-- Earlier releases have left entries behind. Delete the privacy tokens of devices whose keys are gone, and the numbers
-- of bindings whose keys are gone. In a new database, whatsmeow's tables come later.
DO $left_behind$
BEGIN
  IF to_regclass('whatsapp_engine.whatsmeow_lid_map') IS NULL THEN
    RETURN;
  END IF;
  DELETE FROM whatsapp_engine.whatsmeow_privacy_tokens t
  WHERE NOT EXISTS (SELECT FROM whatsapp_engine.whatsmeow_device e WHERE e.jid = t.our_jid);
  DELETE FROM whatsapp_engine.whatsmeow_lid_map m
  WHERE EXISTS (SELECT FROM whatsapp_private.devices d WHERE substring(d.jid FROM '^[0-9]+') = m.pn)
    AND NOT EXISTS (
      SELECT FROM whatsapp_engine.whatsmeow_device e WHERE substring(e.jid FROM '^[0-9]+') = m.pn
    );
END
$left_behind$;
