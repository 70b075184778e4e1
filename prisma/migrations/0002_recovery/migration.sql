-- A lock that is not free within this time ends the migration; whoever needs the table waits behind it no longer than that.
SET LOCAL lock_timeout = '2s';

-- AlterTable
ALTER TABLE "webhook_events" DROP CONSTRAINT "webhook_events_source_check";
ALTER TABLE "webhook_events" ADD CONSTRAINT "webhook_events_source_check" CHECK ("source" IN ('exotel', 'recovery', 'reconcile', 'backfill', 'operator'));

-- AlterTable
ALTER TABLE "calls" ADD COLUMN "recording_given_up_at" TIMESTAMPTZ(3),
ADD COLUMN "owner_checked_at" TIMESTAMPTZ(3);

-- AlterTable
ALTER TABLE "recordings" ADD COLUMN "given_up_at" TIMESTAMPTZ(3);

-- CreateTable
CREATE TABLE "recording_attempts" (
    "id" BIGSERIAL NOT NULL,
    "call_sid" TEXT NOT NULL,
    "source_url" TEXT,
    "identity" TEXT NOT NULL,
    "state" TEXT NOT NULL,
    "error" TEXT,
    "error_code" TEXT,
    "bucket" TEXT,
    "object_key" TEXT,
    "concluded_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "recording_attempts_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "recording_attempts_state_check" CHECK ("state" IN ('not_recorded', 'failed', 'quarantined', 'stored')),
    CONSTRAINT "recording_attempts_error_check" CHECK (("error_code" IS NOT NULL) = ("state" IN ('failed', 'quarantined')))
);

-- CreateTable
CREATE TABLE "reconcile_passes" (
    "id" BIGSERIAL NOT NULL,
    "identity" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "window_from" TIMESTAMPTZ(3) NOT NULL,
    "window_to" TIMESTAMPTZ(3) NOT NULL,
    "started_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "ended_at" TIMESTAMPTZ(3),
    "complete" BOOLEAN NOT NULL DEFAULT false,
    "pages" INTEGER NOT NULL DEFAULT 0,
    "calls_seen" INTEGER NOT NULL DEFAULT 0,
    "calls_new" INTEGER NOT NULL DEFAULT 0,
    "recordings_new" INTEGER NOT NULL DEFAULT 0,
    "remark" TEXT,
    "problem" TEXT,

    CONSTRAINT "reconcile_passes_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "reconcile_passes_kind_check" CHECK ("kind" IN ('regular', 'nightly', 'backfill')),
    CONSTRAINT "reconcile_passes_window_check" CHECK ("window_from" <= "window_to"),
    CONSTRAINT "reconcile_passes_complete_check" CHECK (NOT "complete" OR ("ended_at" IS NOT NULL AND "problem" IS NULL))
);

-- CreateIndex
CREATE UNIQUE INDEX "recording_attempts_identity_key" ON "recording_attempts"("identity");

-- CreateIndex
CREATE INDEX "recording_attempts_call_sid_id_idx" ON "recording_attempts"("call_sid", "id");

-- CreateIndex
CREATE UNIQUE INDEX "reconcile_passes_identity_key" ON "reconcile_passes"("identity");

-- CreateIndex
CREATE INDEX "reconcile_passes_kind_complete_window_to_idx" ON "reconcile_passes"("kind", "complete", "window_to");

-- CreateIndex
CREATE INDEX "recordings_object_key_idx" ON "recordings"("object_key");

-- CreateIndex
CREATE INDEX "recording_attempts_object_key_idx" ON "recording_attempts"("object_key");

-- What recovery looks for; Prisma's schema knows no partial indexes.
CREATE INDEX "recordings_due_idx" ON "recordings"("next_try_at") WHERE "state" IN ('failed', 'quarantined');
CREATE INDEX "calls_due_idx" ON "calls"("recording_next_try_at") WHERE "recording_state" = 'failed';
CREATE INDEX "recordings_awaiting_idx" ON "recordings"("call_sid") WHERE "state" = 'awaiting';

-- AddForeignKey
ALTER TABLE "recording_attempts" ADD CONSTRAINT "recording_attempts_call_sid_fkey" FOREIGN KEY ("call_sid") REFERENCES "calls"("call_sid") ON DELETE RESTRICT ON UPDATE CASCADE;
