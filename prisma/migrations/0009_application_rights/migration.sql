-- A lock that is not free within this time ends the migration; whoever needs the table waits behind it no longer than that.
SET LOCAL lock_timeout = '2s';

-- The application connects as a member of "caly_app" and has only the rights that its statements need. The owner of the tables
-- runs migrations. Every later migration grants what its tables and columns need (docs/deployment.md); a test lists the rights.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'caly_app') THEN
        CREATE ROLE "caly_app" NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL; -- a migration of another database has just created it
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'The role caly_app does not exist, and this role may not create it: let an administrator run CREATE ROLE caly_app NOLOGIN, then deploy again';
END
$$;

-- Since PostgreSQL 15 only the owner may create tables here.
REVOKE CREATE ON SCHEMA "public" FROM PUBLIC;
GRANT USAGE ON SCHEMA "public" TO "caly_app";

-- Rows are read and added everywhere except where it says otherwise. Columns that are not named are never changed; DELETE is
-- granted where clean-up deletes. A column that is only named for "lock" is changed by nobody: SELECT … FOR UPDATE needs the right
-- to update one.
DO $$
DECLARE
    "wanted" RECORD;
    "columns" TEXT;
BEGIN
    FOR "wanted" IN
        SELECT * FROM (VALUES
            ('calls', 'SELECT, INSERT',
             '{account_sid,status,direction,from_number,to_number,started_at,ended_at,duration_seconds,custom_field,recording_state,recording_state_since,recording_url,recording_error,recording_error_code,recording_next_try_at,recording_concluded_status,recording_given_up_at,recording_date,owner_checked_at,updated_at}'),
            ('recordings', 'SELECT, INSERT',
             '{fetch_url,state,state_since,error,error_code,next_try_at,given_up_at,bucket,object_key,bytes,sha256,content_type,codec,sample_rate,channels,duration_seconds,remark,updated_at}'),
            -- What an event said is never changed; clean-up empties "raw_body" and "fields".
            ('webhook_events', 'SELECT, INSERT',
             '{raw_body,fields,relay_state,relayed_at,relay_tries,relay_waits,relay_error,next_relay_at,claimed_until,claimed_by}'),
            ('recording_attempts', 'SELECT, INSERT', '{}'),
            ('reconcile_passes', 'SELECT, INSERT', '{identity,ended_at,complete,pages,calls_seen,calls_new,recordings_new,remark,problem}'),
            ('object_checks', 'SELECT, INSERT', '{}'),
            ('users', 'SELECT, INSERT, DELETE',
             '{name,password_hash,role,active,registered_again_at,verified_at,verification_hash,verification_expires_at}'),
            ('sessions', 'SELECT, INSERT, DELETE', '{refresh_hash,refresh_expires_at,ended_at,end_reason}'),
            ('refresh_token_blacklist', 'SELECT, INSERT, DELETE', '{reason}'), -- lock
            ('password_reset_tokens', 'SELECT, INSERT, DELETE', '{used_at}'),
            ('account_mails', 'SELECT, INSERT, DELETE', '{attempts,next_attempt_at,ended_at,outcome}'),
            ('signing_keys', 'SELECT, INSERT, DELETE', '{}'),
            ('rate_limits', 'SELECT, INSERT, DELETE', '{points,expire}'),
            ('_prisma_migrations', 'SELECT', '{}')
        ) AS "rights" ("table_name", "privileges", "updated")
    LOOP
        -- A database for comparisons has no "_prisma_migrations".
        CONTINUE WHEN to_regclass(format('public.%I', "wanted"."table_name")) IS NULL;
        EXECUTE format('GRANT %s ON %I TO caly_app', "wanted"."privileges", "wanted"."table_name");
        SELECT string_agg(quote_ident(a.attname), ', ') INTO "columns"
        FROM pg_attribute a
        WHERE a.attrelid = format('public.%I', "wanted"."table_name")::regclass AND a.attnum > 0 AND NOT a.attisdropped
          AND a.attname = ANY ("wanted"."updated"::text[]);
        IF "columns" IS NOT NULL THEN
            EXECUTE format('GRANT UPDATE (%s) ON %I TO caly_app', "columns", "wanted"."table_name");
        END IF;
    END LOOP;
END
$$;

-- The columns "id" that count up.
GRANT USAGE ON SEQUENCE "recordings_id_seq", "webhook_events_id_seq", "recording_attempts_id_seq", "reconcile_passes_id_seq", "object_checks_id_seq" TO "caly_app";
