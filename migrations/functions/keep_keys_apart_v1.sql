-- Keep the keys of two devices with one JID apart.
-- When a person removes a device on the phone, WhatsApp gives its JID out again. whatsmeow writes and deletes a device
-- by its JID alone. So this trigger runs before each INSERT and DELETE of a row of whatsmeow_device. It runs as the
-- owner of the tables, because the engine's login cannot read bindings.
--   INSERT  If a row has the same JID and other keys, the trigger deletes this older device. Otherwise whatsmeow's
--           ON CONFLICT (jid) DO UPDATE would keep the older keys. An unlink may hold the older device, and its engine
--           finds its keys by the JID. So the trigger waits for this unlink, at most 5 s. A device that is saved again
--           has the same keys, and the trigger changes nothing. But if the device has lost its JID to a newer device,
--           the trigger does not let whatsmeow save it.
--   DELETE  While a linker or an unlink holds another device with this JID, the trigger lets no engine delete the row.
--           After a 401, whatsmeow deletes whatever row has the JID, which may be the other device's. When a row is
--           deleted, the trigger also deletes what whatsmeow keeps about the account.
-- Locks: the JID, by an advisory lock that ends with the transaction; then the rows that it deletes. A DELETE locks no
-- JID.
-- Writes: whatsmeow's tables.
CREATE OR REPLACE FUNCTION whatsapp_private.keep_keys_apart_v1() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
  IF TG_OP = 'INSERT' THEN
    -- Lock the JID first. If two devices with one JID are stored at once, the second call then sees the first device.
    -- All JIDs share 256 locks, because a restore stores thousands of devices in one transaction, and Postgres has room
    -- for a few thousand locks.
    PERFORM pg_advisory_xact_lock(hashtextextended('whatsapp-pairing jid', hashtext(NEW.jid) & 255));
    PERFORM FROM whatsapp_engine.whatsmeow_device e
    WHERE e.jid = NEW.jid
      AND (e.noise_key, e.identity_key, e.adv_key) IS DISTINCT FROM (NEW.noise_key, NEW.identity_key, NEW.adv_key);
    IF FOUND THEN
      -- Save nothing for a device that has lost its JID. A binding gets its JID only after its keys were stored. So if
      -- the binding of NEW has this JID, NEW is the older device, which is saved once more.
      PERFORM FROM whatsapp_private.devices d WHERE d.fingerprint = sha256(NEW.adv_key) AND d.jid = NEW.jid;
      IF FOUND THEN
        RETURN NULL;
      END IF;
      FOR turn IN 1..50 LOOP
        PERFORM FROM whatsapp_private.devices d
        WHERE substring(d.jid FROM '^[0-9]+') = substring(NEW.jid FROM '^[0-9]+') AND d.jid = NEW.jid
          AND d.fingerprint <> sha256(NEW.adv_key) AND d.state = 'unlinking' AND d.lease_expires_at > clock_timestamp();
        EXIT WHEN NOT FOUND;
        PERFORM pg_sleep(0.1);
      END LOOP;
      DELETE FROM whatsapp_engine.whatsmeow_device e WHERE e.jid = NEW.jid;
      DELETE FROM whatsapp_engine.whatsmeow_privacy_tokens t WHERE t.our_jid = NEW.jid;
    END IF;
    RETURN NEW;
  END IF;
  IF pg_trigger_depth() > 1 THEN
    RETURN OLD;  -- the DELETE above, for an INSERT: the account keeps its entries
  END IF;
  IF session_user = 'whatsapp_engine' THEN
    PERFORM FROM whatsapp_private.devices d
    WHERE substring(d.jid FROM '^[0-9]+') = substring(OLD.jid FROM '^[0-9]+') AND d.jid = OLD.jid
      AND d.fingerprint <> sha256(OLD.adv_key) AND d.lease_id IS NOT NULL;
    IF FOUND THEN
      RETURN NULL;
    END IF;
  END IF;
  PERFORM whatsapp_private.forget_number_v1(OLD.jid, sha256(OLD.adv_key));
  RETURN OLD;
END;
$function$;

REVOKE ALL ON FUNCTION whatsapp_private.keep_keys_apart_v1() FROM PUBLIC;

CREATE OR REPLACE TRIGGER whatsmeow_device_keeps_keys_apart
BEFORE INSERT OR DELETE ON whatsapp_engine.whatsmeow_device
FOR EACH ROW EXECUTE FUNCTION whatsapp_private.keep_keys_apart_v1();
