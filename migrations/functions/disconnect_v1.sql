-- End all that the user has: a live attempt, a linked device, and an error that the session shows.
-- Locks: the user, then the live attempt, then the devices.
-- Writes: attempts, devices, sessions, answers. Never the session row.
-- Repeated with the same p_call: the same answer; nothing more changes.
-- Answer: a JSON object with these fields:
--   changed     whether there was anything to end
--   task_token  the task token of the wait; the caller fails it
--   legs        how many linkers the live attempt had; null when no attempt lived
--   devices     the given-up devices that have keys; the caller starts their unlinks
--   version     the session's version
CREATE OR REPLACE FUNCTION whatsapp_private.disconnect_v1(p_call UUID, p_user UUID, p_reason TEXT) RETURNS JSONB
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  result JSONB;
  live RECORD;
  changed BOOLEAN;
  dismissed BOOLEAN;
  linked BOOLEAN;
BEGIN
  PERFORM whatsapp_private.lock_user_v1(p_user);
  SELECT a.answer INTO result FROM whatsapp_private.answers a WHERE a.call_id = p_call;
  IF FOUND THEN
    RETURN result;
  END IF;
  UPDATE whatsapp_private.attempts a SET
    ended_at = clock_timestamp(), outcome = p_reason, lease_expires_at = NULL, qr_expires_at = NULL
  WHERE a.user_id = p_user AND a.ended_at IS NULL
  RETURNING a.id, a.task_token, a.legs INTO live;
  UPDATE whatsapp_private.attempts a SET failed = false
  WHERE a.failed AND a.id = (
    SELECT last.id FROM whatsapp_private.attempts last WHERE last.user_id = p_user ORDER BY last.number DESC LIMIT 1
  );
  dismissed := FOUND;
  linked := EXISTS (SELECT FROM whatsapp_private.devices d WHERE d.user_id = p_user AND d.state <> 'unlinking');
  changed := live.legs IS NOT NULL OR dismissed OR linked;
  result := jsonb_build_object(
    'changed', changed,
    'task_token', live.task_token,
    'legs', live.legs,
    -- Also name the devices of the live attempt that refuse_v1 has given up.
    'devices', ARRAY(
      SELECT unnest(whatsapp_private.give_up_v1(p_user, NULL, NULL))
      UNION SELECT unnest(whatsapp_private.given_up_with_keys_v1(live.id))
    ),
    -- Count a change only if there was one. A deleted user has nothing to end, and their access token is good for up to
    -- an hour longer. An entry in sessions for this user would violate its foreign key.
    'version', CASE WHEN changed THEN whatsapp_private.note_change_v1(p_user, NULL)
      ELSE coalesce((SELECT s.version FROM whatsapp_private.sessions s WHERE s.user_id = p_user), 0) END
  );
  UPDATE whatsapp_private.sessions s SET ended_reason = NULL WHERE s.user_id = p_user;
  INSERT INTO whatsapp_private.answers (call_id, answer) VALUES (p_call, result);
  RETURN result;
END;
$function$;

ALTER FUNCTION whatsapp_private.disconnect_v1(UUID, UUID, TEXT) OWNER TO whatsapp_functions;
REVOKE ALL ON FUNCTION whatsapp_private.disconnect_v1(UUID, UUID, TEXT) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION whatsapp_private.disconnect_v1(UUID, UUID, TEXT) TO whatsapp_api;
