-- A lock that is not free within this time ends the migration; whoever needs the table waits behind it no longer than that.
SET LOCAL lock_timeout = '2s';

-- How often an event waited because Temporal did not respond to its request, and which claim holds it.
ALTER TABLE "webhook_events" ADD COLUMN "relay_waits" INTEGER NOT NULL DEFAULT 0,
                             ADD COLUMN "claimed_by" UUID;

-- The relay claims new events and waiting events separately. Prisma's schema knows no partial indexes.
CREATE INDEX "webhook_events_relay_new_idx" ON "webhook_events"("next_relay_at", "id") WHERE "relay_state" = 'pending' AND "relay_waits" = 0;
CREATE INDEX "webhook_events_relay_waiting_idx" ON "webhook_events"("next_relay_at", "id") WHERE "relay_state" = 'pending' AND "relay_waits" > 0;
