-- Loses the history of attempts and of passes; stop the workers first. Fails, and changes nothing, where backfill has made events.
SET LOCAL lock_timeout = '2s';
DROP TABLE "recording_attempts", "reconcile_passes";
DROP INDEX "recordings_object_key_idx", "recordings_due_idx", "recordings_awaiting_idx", "calls_due_idx";
ALTER TABLE "recordings" DROP COLUMN "given_up_at";
ALTER TABLE "calls" DROP COLUMN "recording_given_up_at", DROP COLUMN "owner_checked_at";
ALTER TABLE "webhook_events" DROP CONSTRAINT "webhook_events_source_check";
ALTER TABLE "webhook_events" ADD CONSTRAINT "webhook_events_source_check" CHECK ("source" IN ('exotel', 'recovery', 'reconcile', 'operator'));
DELETE FROM "_prisma_migrations" WHERE "migration_name" = '0002_recovery';
