-- Loses the secrets of CSRF tokens and when each kind of clean-up last finished. The code before this migration needs neither. After the
-- migration is applied again, browser sessions have to log in again.
SET LOCAL lock_timeout = '2s';
DROP TABLE "clean_ups";
ALTER TABLE "rate_limits" ALTER COLUMN "key" TYPE VARCHAR(255) COLLATE "default";
ALTER TABLE "sessions" DROP COLUMN "csrf_token";
DELETE FROM "_prisma_migrations" WHERE "migration_name" = '0010_account_maintenance';
