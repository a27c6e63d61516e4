-- Find keys without a binding, which no function could use or remove.
-- The function runs as the owner of the tables. It answers fingerprints and JIDs, and no key.
-- whatsmeow does not note when it has stored a device, so the function compares the index of all keys with the index of
-- all bindings. Among more than 50,000 devices it looks at one part of them, and five minutes later at the next part.
-- enable_seqscan is off, so that the search always uses the two indexes.
-- Locks: nothing.
-- Writes: nothing.
CREATE OR REPLACE FUNCTION whatsapp_private.unexplained_keys_v1(
  p_limit INTEGER, p_at TIMESTAMPTZ
) RETURNS TABLE (fingerprint BYTEA, jid TEXT)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $function$
DECLARE
  parts CONSTANT BIGINT := (
    SELECT least(greatest(ceil(c.reltuples / 50000), 1), 65536) FROM pg_class c
    WHERE c.oid = 'whatsapp_engine.whatsmeow_device'::REGCLASS
  );
  part CONSTANT BIGINT := floor(extract(epoch FROM p_at) / 300)::BIGINT % parts;
  -- The first two bytes of the fingerprints, which are spread evenly.
  first CONSTANT BYTEA := substring(int4send((part * 65536 / parts)::INTEGER) FROM 3);
  last CONSTANT BYTEA := CASE WHEN part + 1 < parts
    THEN substring(int4send(((part + 1) * 65536 / parts)::INTEGER) FROM 3) ELSE decode(repeat('ff', 33), 'hex') END;
BEGIN
  RETURN QUERY
  SELECT sha256(e.adv_key), e.jid FROM whatsapp_engine.whatsmeow_device e
  WHERE sha256(e.adv_key) >= first AND sha256(e.adv_key) < last
    AND NOT EXISTS (SELECT FROM whatsapp_private.devices d WHERE d.fingerprint = sha256(e.adv_key))
  ORDER BY sha256(e.adv_key) LIMIT p_limit;
END;
$function$;

REVOKE ALL ON FUNCTION whatsapp_private.unexplained_keys_v1(INTEGER, TIMESTAMPTZ) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION whatsapp_private.unexplained_keys_v1(INTEGER, TIMESTAMPTZ)
  TO whatsapp_functions, whatsapp_worker;
