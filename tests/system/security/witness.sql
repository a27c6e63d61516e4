-- Remembers every value that the tables with secrets have ever held; a poll would miss those that live for moments.
CREATE SCHEMA witness;
CREATE TABLE witness.seen (source text, name text, value text);
CREATE FUNCTION witness.see() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  INSERT INTO witness.seen
  SELECT TG_TABLE_NAME, f.key, f.value FROM pg_catalog.jsonb_each_text(pg_catalog.to_jsonb(NEW)) f
  WHERE f.value IS NOT NULL;
  RETURN NULL;
END $$;
DO $$
DECLARE watched regclass;
BEGIN
  FOR watched IN
    SELECT c.oid FROM pg_class c WHERE c.relkind = 'r' AND (
      c.relnamespace = 'whatsapp_engine'::regnamespace
      OR c.oid IN ('whatsapp_private.attempts'::regclass, 'public.whatsapp_sessions'::regclass))
  LOOP
    EXECUTE format('CREATE TRIGGER witness AFTER INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION witness.see()', watched);
  END LOOP;
END $$;
