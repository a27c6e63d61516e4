-- Old attempts are deleted, and devices that no live attempt explains are given up.

SET LOCAL lock_timeout = '5s';

-- A user's newest attempt is kept for ever: the session takes its reason from it, and claim_v1 the number and the pause.
-- claim_v1 marks the attempts before the new one as superseded. So the index holds only what cleanup may delete.
ALTER TABLE whatsapp_private.attempts ADD COLUMN superseded BOOLEAN NOT NULL DEFAULT false;
UPDATE whatsapp_private.attempts a SET superseded = true
WHERE a.ended_at IS NOT NULL AND EXISTS (
  SELECT FROM whatsapp_private.attempts newer WHERE newer.user_id = a.user_id AND newer.number > a.number
);
CREATE INDEX attempts_superseded ON whatsapp_private.attempts (ended_at) WHERE superseded;
GRANT UPDATE (superseded) ON whatsapp_private.attempts TO whatsapp_functions;
GRANT SELECT (superseded), DELETE ON whatsapp_private.attempts TO whatsapp_worker;
CREATE POLICY "Sweeps delete superseded attempts" ON whatsapp_private.attempts FOR DELETE TO whatsapp_worker
  USING (superseded AND ended_at IS NOT NULL);

-- This index holds only devices of live pairings, and stray devices. OFFSET 0 makes Postgres look each attempt up.
-- Otherwise it might read all attempts for a batch of devices.
CREATE INDEX devices_pairing ON whatsapp_private.devices (created_at) WHERE state IN ('offered', 'linking');
ALTER POLICY "Sweeps give devices up" ON whatsapp_private.devices
  USING (
    state = 'unlinking' OR user_id IS NULL
    OR state IN ('offered', 'linking') AND NOT EXISTS (
      SELECT FROM whatsapp_private.attempts a WHERE a.id = attempt_id AND a.ended_at IS NULL OFFSET 0
    )
  );

-- The sweep of answers passes over locked rows. Its FOR UPDATE needs the right to write a column.
GRANT UPDATE (answered_at) ON whatsapp_private.answers TO whatsapp_worker;
