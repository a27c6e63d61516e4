-- Choose given-up devices that have keys and whose unlink is due.
-- The caller starts the unlinks. The function also sets when each unlink is due again (unlink_pause_v1).
-- Locks: the call's id, by an advisory lock that ends with the transaction; then the rows that it chooses. It passes
-- over devices that another transaction has locked.
-- Writes: devices, answers.
-- Repeated with the same p_call: the same answer; nothing more changes. The function does not store an empty answer.
-- Answer: the devices to unlink.
CREATE OR REPLACE FUNCTION whatsapp_private.start_unlinks_v1(p_call UUID, p_limit INTEGER) RETURNS UUID[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  at CONSTANT TIMESTAMPTZ := clock_timestamp();
  started UUID[];
BEGIN
  PERFORM set_config('whatsapp.user_id', 'all', true);
  -- Lock the id of the call. If this call is a repeat, its first try may still run. The repeat waits for it here, and
  -- then finds its answer.
  PERFORM pg_advisory_xact_lock(hashtextextended('whatsapp-pairing ' || p_call, 0));
  SELECT ARRAY(SELECT jsonb_array_elements_text(a.answer)::UUID) INTO started
  FROM whatsapp_private.answers a WHERE a.call_id = p_call;
  IF FOUND THEN
    RETURN started;
  END IF;
  started := ARRAY(
    SELECT d.id FROM whatsapp_private.devices d
    WHERE d.state = 'unlinking' AND d.unlink_due_at <= at AND (d.lease_expires_at IS NULL OR d.lease_expires_at <= at)
      AND whatsapp_private.stored_jid(d.fingerprint) IS NOT NULL
    ORDER BY d.unlink_due_at LIMIT p_limit FOR UPDATE SKIP LOCKED
  );
  UPDATE whatsapp_private.devices d SET
    unlink_starts = d.unlink_starts + 1,
    unlink_due_at = at + whatsapp_private.unlink_pause_v1(d.unlink_starts + 1)
  WHERE d.id = ANY (started);
  IF FOUND THEN
    INSERT INTO whatsapp_private.answers (call_id, answer) VALUES (p_call, to_jsonb(started));
  END IF;
  RETURN started;
END;
$function$;

ALTER FUNCTION whatsapp_private.start_unlinks_v1(UUID, INTEGER) OWNER TO whatsapp_functions;
REVOKE ALL ON FUNCTION whatsapp_private.start_unlinks_v1(UUID, INTEGER) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION whatsapp_private.start_unlinks_v1(UUID, INTEGER) TO whatsapp_worker;
