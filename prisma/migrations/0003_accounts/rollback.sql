-- Loses all accounts and sessions; calls and recordings are untouched.
SET LOCAL lock_timeout = '2s';
DROP INDEX "webhook_events_bodies_idx";
DROP TABLE "rate_limits", "signing_keys", "password_reset_tokens", "refresh_token_blacklist", "sessions", "users";
DROP FUNCTION "delete_expired_blacklist_rows"();
DROP FUNCTION "set_updated_at"();
DELETE FROM "_prisma_migrations" WHERE "migration_name" = '0003_accounts';
