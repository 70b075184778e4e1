-- Gives the default rights back, as far as this role may. Nothing is lost.
SET LOCAL lock_timeout = '2s';
GRANT INSERT ON "users" TO "caly_app";
GRANT UPDATE ("role", "active") ON "users" TO "caly_app";
DO $$
DECLARE
    "routine" REGPROCEDURE;
BEGIN
    SET LOCAL client_min_messages = 'error'; -- GRANT only warns where it has no effect
    BEGIN
        EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO PUBLIC', current_database());
    EXCEPTION
        WHEN insufficient_privilege THEN NULL;
    END;
    FOR "routine" IN
        SELECT oid::regprocedure FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace AND (proname ~ '^lo_' OR proname IN ('loread', 'lowrite'))
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO PUBLIC', "routine");
    END LOOP;
EXCEPTION
    WHEN insufficient_privilege THEN NULL;
END
$$;
DELETE FROM "_prisma_migrations" WHERE "migration_name" = '0011_public_rights';
