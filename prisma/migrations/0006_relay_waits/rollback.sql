-- Loses how often pending events waited for a response of Temporal; each is still relayed.
SET LOCAL lock_timeout = '2s';
DROP INDEX "webhook_events_relay_new_idx", "webhook_events_relay_waiting_idx";
ALTER TABLE "webhook_events" DROP COLUMN "relay_waits", DROP COLUMN "claimed_by";
DELETE FROM "_prisma_migrations" WHERE "migration_name" = '0006_relay_waits';
