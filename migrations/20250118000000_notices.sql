-- A scan that WhatsApp did not accept is answered with a notice and another QR, instead of the end of the attempt.

-- Fail after 5 s of waiting for a lock; the migration may be run again. Otherwise every statement that wants the same
-- table would wait behind it.
SET LOCAL lock_timeout = '5s';

ALTER TABLE whatsapp_private.attempts
  -- What the person is asked to do, until a phone scans.
  ADD COLUMN notice TEXT CONSTRAINT attempts_notice_is_known CHECK (notice IN ('scan_again', 'new_qr')),
  -- How many refused pairings were answered with another QR.
  ADD COLUMN refusals INTEGER NOT NULL DEFAULT 0,
  -- When a linker first reported a scan of any device of the attempt. Only this report extends the deadline.
  ADD COLUMN scanned_at TIMESTAMPTZ;
UPDATE whatsapp_private.attempts a SET scanned_at = d.scanned_at
FROM (SELECT s.attempt_id, min(s.scanned_at) AS scanned_at FROM whatsapp_private.devices s GROUP BY s.attempt_id) AS d
WHERE a.ended_at IS NULL AND d.attempt_id = a.id;
GRANT UPDATE (notice, refusals, scanned_at) ON whatsapp_private.attempts TO whatsapp_functions;

ALTER TYPE whatsapp_private.attempt_state ADD ATTRIBUTE notice TEXT;
ALTER TYPE whatsapp_private.attempt_state ADD ATTRIBUTE refusals INTEGER;

-- migrations/functions/ makes this function again, with the notice.
DROP FUNCTION IF EXISTS whatsapp_private.show_qr_v1(UUID, UUID, FLOAT8, TEXT, FLOAT8, BYTEA);
