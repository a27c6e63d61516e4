-- Write the user's row in public.whatsapp_sessions as the session is now. The user may lock, edit or delete this row,
-- and the product may put constraints and triggers on the table. So this function may fail, and the caller runs it in a
-- transaction of its own.
-- Locks: the writing of the row, by an advisory lock that ends with the transaction, then the row. The function does
-- not wait for a transaction that has locked the row. It waits up to lock_timeout for a transaction that inserts the
-- row.
-- Writes: the user's row. Not its counters, which the product keeps.
-- Repeated: the same.
-- Error: lock_not_available when another transaction has locked the row or inserts it; WA001 when another call of this
-- function writes it; triggered_action_exception or insufficient_privilege when the product's objects keep it as it was.
-- The search path holds public and extensions: the product's triggers may name their tables without a schema. So each
-- operator and function here fits its arguments' types exactly: a caller's own that fitted better would be chosen.
CREATE OR REPLACE FUNCTION whatsapp_private.show_session_v1(p_user UUID) RETURNS VOID
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, extensions, pg_temp AS $function$
DECLARE
  shown RECORD;
BEGIN
  PERFORM set_config('whatsapp.user_id', p_user::TEXT, true);
  -- Let one call at a time try. Otherwise a user who keeps an insert of the row open would make many calls wait, and
  -- each of them holds a connection.
  IF NOT pg_try_advisory_xact_lock(hashtextextended('whatsapp-pairing row ' || p_user::TEXT, 0::BIGINT)) THEN
    RAISE SQLSTATE 'WA001' USING MESSAGE = 'another call writes the row';
  END IF;
  PERFORM FROM public.whatsapp_sessions s WHERE s.user_id = p_user FOR UPDATE SKIP LOCKED;
  IF FOUND THEN
    -- Read the session after the row is locked. Of two calls at once, the call that writes last has then read last.
    SELECT * INTO shown FROM whatsapp_private.session_v1(p_user);
    -- Leave a row that says so already: a write would tell everybody who follows it of a change.
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
      RETURN;  -- no row says the same
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
