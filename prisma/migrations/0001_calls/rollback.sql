-- Loses everything that the database knows; the recordings themselves stay in the bucket.
SET LOCAL lock_timeout = '2s';
DROP TABLE "webhook_events", "recordings", "calls";
DROP FUNCTION "recording_state_rank"(TEXT);
DROP FUNCTION "call_status_rank"(TEXT);
DELETE FROM "_prisma_migrations" WHERE "migration_name" = '0001_calls';
