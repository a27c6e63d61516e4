-- What cleanup, disconnect and unlink look for is found by an index, however many rows there are.

SET LOCAL lock_timeout = '5s';

-- A binding outlives its user, but without an owner: the orphans of deleted users stand in an index of their own
-- instead of being looked for among everybody's devices.
ALTER TABLE whatsapp_private.devices ALTER COLUMN user_id DROP NOT NULL;
UPDATE whatsapp_private.devices d SET user_id = NULL
WHERE NOT EXISTS (SELECT FROM auth.users u WHERE u.id = d.user_id);
ALTER TABLE whatsapp_private.devices
  ADD FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE SET NULL;
CREATE INDEX devices_without_owner ON whatsapp_private.devices (updated_at)
  WHERE user_id IS NULL AND state <> 'unlinking';
CREATE INDEX devices_by_user ON whatsapp_private.devices (user_id);

-- Unlink asks whether an account has another device.
CREATE INDEX devices_by_number ON whatsapp_private.devices (substring(jid FROM '^[0-9]+'));

-- How often cleanup has started the device's unlink: the pause before the next time grows with it.
ALTER TABLE whatsapp_private.devices ADD COLUMN unlink_starts INTEGER NOT NULL DEFAULT 0;
GRANT UPDATE (unlink_starts) ON whatsapp_private.devices TO whatsapp_worker;
