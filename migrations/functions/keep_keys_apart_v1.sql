-- Keep the keys of two devices with one JID apart. When a person removes a device on the phone, WhatsApp gives its JID
-- out again, and whatsmeow writes and deletes a device by its JID alone. This trigger runs before each INSERT and
-- DELETE of a row of whatsmeow_device, as the owner of the tables: the engine's login cannot read bindings.
--   INSERT  A new device takes the place of an older row with its JID and other keys. Otherwise whatsmeow's ON CONFLICT
--           (jid) DO UPDATE would leave the older keys. It waits up to 5 s for an unlink that holds the older device,
--           because the unlink's engine opens its keys by the JID. A device that is saved again stays an update. An
--           engine that has lost its JID to a newer device saves nothing.
--   DELETE  An engine deletes no row while another device with this JID is in the hands of a linker or an unlink,
--           because it may be that device's engine: WhatsApp has told it 401. What whatsmeow keeps about the account
--           goes with the keys.
-- Locks: for an INSERT of an engine the JID, by an advisory lock that ends with the transaction; then the rows that it
-- deletes.
-- Writes: whatsmeow_device, whatsmeow_privacy_tokens, whatsmeow_lid_map.
CREATE OR REPLACE FUNCTION whatsapp_private.keep_keys_apart_v1() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
  IF TG_OP = 'INSERT' THEN
    -- Of two devices with one JID that engines store at once, the second must see the first. The owner may store many
    -- in one transaction, as a restore does, and Postgres has no room for so many locks.
    IF session_user = 'whatsapp_engine' THEN
      PERFORM pg_advisory_xact_lock(hashtextextended('whatsapp-pairing jid ' || NEW.jid, 0));
    END IF;
    PERFORM FROM whatsapp_engine.whatsmeow_device e
    WHERE e.jid = NEW.jid
      AND (e.noise_key, e.identity_key, e.adv_key) IS DISTINCT FROM (NEW.noise_key, NEW.identity_key, NEW.adv_key);
    IF FOUND THEN
      -- A binding names its JID from the moment in which its keys were found stored.
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
    RETURN OLD;  -- the INSERT above has deleted it; the account stays
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
