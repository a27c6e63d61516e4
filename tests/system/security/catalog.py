"""Queries of Postgres's catalog. Each returns what is wrong, also in objects that are added later."""

# What a role may do in the private schemas: with each schema, and with each object in it.
REACHABLE = """
SELECT 'schema ' || n.nspname AS found FROM pg_namespace n
WHERE n.nspname IN ('whatsapp_private', 'whatsapp_engine')
  AND (has_schema_privilege(%(role)s, n.oid, 'USAGE') OR has_schema_privilege(%(role)s, n.oid, 'CREATE'))
UNION ALL
SELECT 'relation ' || c.oid::regclass FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('whatsapp_private', 'whatsapp_engine') AND CASE
  WHEN c.relkind = 'S' THEN has_sequence_privilege(%(role)s, c.oid, 'USAGE, SELECT, UPDATE')
  WHEN c.relkind IN ('r', 'p', 'v', 'm', 'f') THEN
    has_table_privilege(%(role)s, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
    OR has_any_column_privilege(%(role)s, c.oid, 'SELECT, INSERT, UPDATE, REFERENCES')
  END
UNION ALL
SELECT 'function ' || p.oid::regprocedure FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname IN ('whatsapp_private', 'whatsapp_engine') AND has_function_privilege(%(role)s, p.oid, 'EXECUTE')
"""

TABLES = """
SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('whatsapp_private', 'whatsapp_engine') AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
"""

# A call of each function, with NULL for each parameter.
FUNCTIONS = """
SELECT format('whatsapp_private.%I(%s)', p.proname, (
  SELECT string_agg('NULL::' || format_type(t.type, NULL), ', ' ORDER BY t.n)
  FROM unnest(p.proargtypes) WITH ORDINALITY AS t (type, n)
)) AS call FROM pg_proc p WHERE p.pronamespace = 'whatsapp_private'::regnamespace ORDER BY 1
"""

# The faults that Supabase's advisor looks for, in our three schemas. Its "auth_rls_initplan" is a policy that calls
# `auth.uid()` once for each row. That is slow where no index leads to the row.
ADVISOR = {
    "row level security without a policy": """
SELECT c.oid::regclass::text FROM pg_class c
WHERE c.relkind IN ('r', 'p') AND c.relnamespace = ANY (%(ours)s::regnamespace[]) AND c.relrowsecurity
  AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid)
""",
    "a policy without row level security": """
SELECT DISTINCT p.polrelid::regclass::text FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
WHERE c.relnamespace = ANY (%(ours)s::regnamespace[]) AND NOT c.relrowsecurity
""",
    "no row level security in an exposed schema": """
SELECT c.oid::regclass::text FROM pg_class c
WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace AND NOT c.relrowsecurity
  AND (has_table_privilege('anon', c.oid, 'SELECT, INSERT, UPDATE, DELETE')
    OR has_table_privilege('authenticated', c.oid, 'SELECT, INSERT, UPDATE, DELETE'))
""",
    "a policy that lets users write everything": """
SELECT p.polname::text FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
WHERE c.relnamespace = ANY (%(ours)s::regnamespace[]) AND p.polpermissive AND p.polcmd <> 'r'
  AND (p.polroles = '{0}' OR p.polroles && ARRAY['anon'::regrole::oid, 'authenticated'::regrole::oid])
  AND 'true' IN (pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
""",
    "two policies for the same role and command": """
SELECT format('%%s: %%s', c.oid::regclass, r.rolname) FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
  JOIN pg_roles r ON p.polroles = '{0}' OR r.oid = ANY (p.polroles)
  CROSS JOIN unnest(CASE WHEN p.polcmd = '*' THEN '{r,a,w,d}'::"char"[] ELSE ARRAY[p.polcmd] END) AS command
WHERE c.relnamespace = ANY (%(ours)s::regnamespace[]) AND p.polpermissive AND NOT r.rolbypassrls
GROUP BY c.oid, r.rolname, command HAVING count(*) > 1
""",
    "a function whose search_path its caller chooses": """
SELECT p.oid::regprocedure::text FROM pg_proc p
WHERE p.pronamespace = ANY (%(ours)s::regnamespace[])
  AND NOT EXISTS (SELECT FROM unnest(p.proconfig) AS setting WHERE starts_with(setting, 'search_path='))
""",
    # If `search_path` does not name pg_temp, Postgres searches it first for types. The caller could then define
    # "text".
    "a definer's function that finds its caller's types": """
SELECT p.oid::regprocedure::text FROM pg_proc p
WHERE p.pronamespace = ANY (%(ours)s::regnamespace[]) AND p.prosecdef
  AND NOT EXISTS (SELECT FROM unnest(p.proconfig) AS setting WHERE setting ~ '^search_path=pg_catalog, (.*, )?pg_temp$')
""",
    "a definer's function that users may call": """
SELECT p.oid::regprocedure::text FROM pg_proc p
WHERE p.pronamespace = ANY (%(ours)s::regnamespace[]) AND p.prosecdef
  AND (has_function_privilege('anon', p.oid, 'EXECUTE') OR has_function_privilege('authenticated', p.oid, 'EXECUTE'))
""",
    "a view with its owner's rights": """
SELECT c.oid::regclass::text FROM pg_class c
WHERE c.relkind = 'v' AND c.relnamespace = ANY (%(ours)s::regnamespace[])
  AND NOT EXISTS (SELECT FROM unnest(c.reloptions) AS option WHERE option ~* '^security_invoker=(1|true|on|yes)$')
""",
    "auth.users shown by a view": """
SELECT DISTINCT c.oid::regclass::text
FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class c ON c.oid = r.ev_class
WHERE d.refobjid = 'auth.users'::regclass AND c.relkind IN ('v', 'm')
  AND (has_table_privilege('anon', c.oid, 'SELECT') OR has_table_privilege('authenticated', c.oid, 'SELECT'))
""",
    "a setting once for each row": r"""
SELECT p.polname::text FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
WHERE c.relnamespace = ANY (%(ours)s::regnamespace[])
  AND concat_ws(' ', pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
    ~* '(?<!select )current_setting\('
""",
    "auth.uid() once for each row": r"""
SELECT p.polname::text FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
WHERE c.relnamespace = ANY (%(ours)s::regnamespace[])
  AND concat_ws(' ', pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
    ~* '(?<!select )auth\.(uid|jwt|role|email)\(\)'
""",
    "a foreign key without an index": """
SELECT conname::text FROM pg_constraint k
WHERE k.contype = 'f' AND k.connamespace = ANY (ARRAY['public', 'whatsapp_private']::regnamespace[])
  AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = k.conrelid AND i.indkey[0] = k.conkey[1])
""",
    "a table without a primary key": """
SELECT c.oid::regclass::text FROM pg_class c
WHERE c.relkind = 'r' AND c.relnamespace = ANY (ARRAY['public', 'whatsapp_private']::regnamespace[])
  AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
""",
}
