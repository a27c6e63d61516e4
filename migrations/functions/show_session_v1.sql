-- Write the session row as the session is now. A missing row of a disconnected user stays missing.
-- The user may lock, edit or delete the row of public.whatsapp_sessions, and the product may put constraints and
-- triggers on the table. So this function may fail, and the caller runs it in a transaction of its own.
-- Locks: the writing of the row, by an advisory lock that ends with the transaction; then the row. If another
-- transaction has locked the row, the function does not wait. If another transaction inserts the row, the function
-- waits for it, at most for lock_timeout.
-- Writes: the session row. Never its counters, which the product keeps.
-- Repeated: the same.
-- Error:
--   lock_not_available          another transaction has locked the row or inserts it
--   WA001                       another call of this function writes the row
--   triggered_action_exception  a trigger or a rule of the product has dropped the write
--   insufficient_privilege      a policy of the product hides the row
-- The search path holds public and extensions, because the product's triggers may name their tables without a schema.
-- Somebody who may create objects in public could add an operator or a function there, and Postgres would choose it if
-- it fitted the types of the arguments better. So each operator and each function here fits the types exactly.
CREATE OR REPLACE FUNCTION whatsapp_private.show_session_v1(p_user UUID) RETURNS VOID
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, extensions, pg_temp AS $function$
DECLARE
  shown RECORD;
BEGIN
  PERFORM set_config('whatsapp.user_id', p_user::TEXT, true);
  -- Let only one call at a time try. A user may keep an insert of the row open. Otherwise many calls would wait for it,
  -- and each of them holds a connection.
  IF NOT pg_try_advisory_xact_lock(hashtextextended('whatsapp-pairing row ' || p_user::TEXT, 0::BIGINT)) THEN
    RAISE SQLSTATE 'WA001' USING MESSAGE = 'another call writes the row';
  END IF;
  PERFORM FROM public.whatsapp_sessions s WHERE s.user_id = p_user FOR UPDATE SKIP LOCKED;
  IF FOUND THEN
    -- Read the session after the row is locked. If two calls run at once, the call that writes last has also read last.
    SELECT * INTO shown FROM whatsapp_private.session_v1(p_user);
    -- Do not write a row that says the same already. Realtime would report the write as a change.
    PERFORM FROM public.whatsapp_sessions s
    WHERE s.user_id = p_user
      AND (s.session_status::TEXT, s.qr_code::TEXT, s.phone_number::TEXT, s.connected_at, s.last_seen)
        IS DISTINCT FROM (
          shown.status, shown.qr_code, shown.phone_number, shown.connected_at, greatest(s.last_seen, shown.last_seen)
        );
    IF FOUND THEN
      UPDATE public.whatsapp_sessions s SET
        session_status = shown.status, qr_code = shown.qr_code, phone_number = shown.phone_number,
        connected_at = shown.connected_at, last_seen = greatest(s.last_seen, shown.last_seen)
      WHERE s.user_id = p_user;
      IF NOT FOUND THEN
        RAISE triggered_action_exception USING MESSAGE = 'a trigger or a rule of the product has dropped the write';
      END IF;
    END IF;
    RETURN;
  END IF;
  IF NOT whatsapp_private.has_row(p_user) THEN
    SELECT * INTO shown FROM whatsapp_private.session_v1(p_user);
    IF shown.status = 'disconnected' THEN
      RETURN;  -- a missing row already means this status
    END IF;
    INSERT INTO public.whatsapp_sessions (user_id, session_status, qr_code, phone_number, connected_at, last_seen)
    VALUES (p_user, shown.status, shown.qr_code, shown.phone_number, shown.connected_at, shown.last_seen)
    ON CONFLICT (user_id) DO NOTHING;
    IF FOUND THEN
      RETURN;
    END IF;
    IF NOT whatsapp_private.has_row(p_user) THEN
      RAISE triggered_action_exception USING MESSAGE = 'a trigger or a rule of the product has dropped the write';
    END IF;
  END IF;
  PERFORM FROM public.whatsapp_sessions s WHERE s.user_id = p_user;
  IF NOT FOUND AND whatsapp_private.has_row(p_user) THEN
    RAISE insufficient_privilege USING MESSAGE = 'a policy of the product hides the row';
  END IF;
  RAISE lock_not_available USING MESSAGE = 'another transaction has locked the row';
END;
$function$;

ALTER FUNCTION whatsapp_private.show_session_v1(UUID) OWNER TO whatsapp_functions;
REVOKE ALL ON FUNCTION whatsapp_private.show_session_v1(UUID) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION whatsapp_private.show_session_v1(UUID) TO whatsapp_api, whatsapp_worker;
