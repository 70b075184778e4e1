-- Loses how often pending events waited for a response of Temporal; each is still relayed.
DROP INDEX "webhook_events_relay_new_idx", "webhook_events_relay_waiting_idx";
ALTER TABLE "webhook_events" DROP COLUMN "relay_waits", DROP COLUMN "claimed_by";
DELETE FROM "_prisma_migrations" WHERE "migration_name" = '0006_relay_waits';
