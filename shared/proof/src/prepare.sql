-- Run by the restored copy's master user in the restored database, before the proof; again without effect.
-- Each block goes on without what the server refuses: the checks that need it are then not verified.

-- Else a function of a restored schema, e.g. public.quote_ident(name), would be called with the master user's rights.
SET search_path = pg_catalog, pg_temp;

DO $$
DECLARE
    home name;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'amcheck') THEN
        SELECT nspname INTO home FROM pg_namespace
        WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
        ORDER BY nspname <> 'public', nspname LIMIT 1;
        EXECUTE format('CREATE EXTENSION amcheck SCHEMA %I', home);
    END IF;
EXCEPTION WHEN OTHERS THEN
    RAISE NOTICE 'no amcheck: %', SQLSTATE;
END $$;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'restore_proof') THEN
        CREATE ROLE restore_proof NOLOGIN;
    END IF;
    -- The proof acts as the role after logging in as the master.
    GRANT restore_proof TO CURRENT_USER;
END $$;

-- Reading everything. Version 13 has no role for it, and a master user may lack the right to grant it.
DO $$
DECLARE
    name text;
BEGIN
    BEGIN
        GRANT pg_read_all_data TO restore_proof;
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        RAISE NOTICE 'no pg_read_all_data: %', SQLSTATE;
    END;
    FOR name IN
        SELECT quote_ident(nspname) FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
    LOOP
        BEGIN
            EXECUTE format('GRANT USAGE ON SCHEMA %s TO restore_proof', name);
            EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %s TO restore_proof', name);
            EXECUTE format('GRANT SELECT ON ALL SEQUENCES IN SCHEMA %s TO restore_proof', name);
        EXCEPTION WHEN OTHERS THEN
            RAISE NOTICE 'no rights on schema %: %', name, SQLSTATE;
        END;
    END LOOP;
END $$;

-- amcheck's functions, and their schema where it is not open to all.
DO $$
DECLARE
    called regprocedure;
    name name;
BEGIN
    FOR called IN
        SELECT p.oid FROM pg_proc p
        JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
        JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
        WHERE e.extname = 'amcheck'
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO restore_proof', called);
    END LOOP;
    FOR name IN
        SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
        WHERE e.extname = 'amcheck' AND NOT has_schema_privilege('restore_proof', n.oid, 'USAGE')
    LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO restore_proof', name);
    END LOOP;
EXCEPTION WHEN OTHERS THEN
    RAISE NOTICE 'no right to amcheck: %', SQLSTATE;
END $$;

-- Rows that row-level security hides are not missing rows. A master user who is no superuser may not give the attribute;
-- the proof then reads such tables as the master user, whom the owner's rights exempt unless policies are forced on owners.
DO $$
BEGIN
    ALTER ROLE restore_proof BYPASSRLS;
EXCEPTION WHEN OTHERS THEN
    RAISE NOTICE 'no BYPASSRLS: %', SQLSTATE;
END $$;

RESET search_path;
