-- Loses which request began an attempt.
SET LOCAL lock_timeout = '2s';
ALTER TABLE "recording_attempts" DROP COLUMN "request_id";
DELETE FROM "_prisma_migrations" WHERE "migration_name" = '0005_attempt_request';
