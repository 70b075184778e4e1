-- A lock that is not free within this time ends the migration; whoever needs the table waits behind it no longer than that.
SET LOCAL lock_timeout = '2s';

-- The application does not decide who is an administrator and which account is open: `npm run admin` does that, as the owner of the
-- tables. A later migration that adds a column to "users" grants INSERT and UPDATE on it, where the application needs that.
REVOKE INSERT ON "users" FROM "caly_app";
GRANT INSERT ("email", "name", "password_hash", "verified_at") ON "users" TO "caly_app";
REVOKE UPDATE ("role", "active") ON "users" FROM "caly_app";

-- By default everybody who may connect may create temporary tables and large objects, and so fill the disk. The application needs
-- neither. Only the owner of the database can change the first, and only a superuser the second: where this role is neither, an
-- administrator does it (docs/deployment.md), and the migration goes on.
DO $$
DECLARE
    "routine" REGPROCEDURE;
BEGIN
    SET LOCAL client_min_messages = 'error'; -- REVOKE only warns where it has no effect; what counts is looked at below
    BEGIN
        EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    EXCEPTION
        WHEN insufficient_privilege THEN NULL;
    END;
    BEGIN
        FOR "routine" IN
            SELECT oid::regprocedure FROM pg_proc
            WHERE pronamespace = 'pg_catalog'::regnamespace AND (proname ~ '^lo_' OR proname IN ('loread', 'lowrite'))
        LOOP
            EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', "routine");
        END LOOP;
    EXCEPTION
        WHEN insufficient_privilege THEN NULL;
    END;
    SET LOCAL client_min_messages = 'notice';
    IF has_database_privilege('public', current_database(), 'TEMPORARY') THEN
        RAISE NOTICE 'Everybody may create temporary tables: let the owner of the database run REVOKE TEMPORARY ON DATABASE % FROM PUBLIC', quote_ident(current_database());
    END IF;
    IF has_function_privilege('public', 'pg_catalog.lo_create(oid)', 'EXECUTE') THEN
        RAISE NOTICE 'Everybody may create large objects: let a superuser run what docs/deployment.md says about them';
    END IF;
END
$$;
