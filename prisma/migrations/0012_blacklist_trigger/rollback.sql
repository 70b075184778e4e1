-- Creates the trigger again. Nothing is lost.
SET LOCAL lock_timeout = '2s';
CREATE FUNCTION "delete_expired_blacklist_rows"() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM "refresh_token_blacklist" WHERE "id" IN (
        SELECT "id" FROM "refresh_token_blacklist" WHERE "expires_at" < now() ORDER BY "expires_at" LIMIT 10 FOR UPDATE SKIP LOCKED
    );
    RETURN NULL;
END
$$;
CREATE TRIGGER "refresh_token_blacklist_clean_up" AFTER INSERT ON "refresh_token_blacklist" FOR EACH STATEMENT EXECUTE FUNCTION "delete_expired_blacklist_rows"();
DELETE FROM "_prisma_migrations" WHERE "migration_name" = '0012_blacklist_trigger';
