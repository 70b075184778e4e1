-- A lock that is not free within this time ends the migration; whoever needs the table waits behind it no longer than that.
SET LOCAL lock_timeout = '2s';

-- An export is an access, too: of all calls that match its filters, without a link.
ALTER TABLE "recording_accesses"
    ALTER COLUMN "call_sid" DROP NOT NULL,
    ALTER COLUMN "recording_id" DROP NOT NULL,
    ALTER COLUMN "link_hash" DROP NOT NULL,
    ALTER COLUMN "expires_at" DROP NOT NULL,
    ADD COLUMN "filters" JSONB,
    DROP CONSTRAINT "recording_accesses_kind_check",
    ADD CONSTRAINT "recording_accesses_kind_check" CHECK (
        ("kind" IN ('play', 'download') AND num_nulls("call_sid", "recording_id", "link_hash", "expires_at") = 0 AND "filters" IS NULL)
        OR ("kind" = 'export' AND num_nonnulls("call_sid", "recording_id", "link_hash", "expires_at") = 0 AND "filters" IS NOT NULL));

-- CreateTable
-- Retries of all failed calls that match a filter. The filter can contain a phone number, so that its workflow gets only the id.
CREATE TABLE "bulk_retries" (
    "id" UUID NOT NULL,
    "filters" JSONB NOT NULL,
    "reason" TEXT NOT NULL,
    "user_id" UUID NOT NULL,
    "user_email" TEXT NOT NULL,
    "state" TEXT NOT NULL DEFAULT 'running',
    "matches" INTEGER NOT NULL,
    -- The last call that was handled. Calls are handled from the newest to the oldest.
    "after_time" TIMESTAMPTZ(3),
    "after_call_sid" TEXT,
    "retried" INTEGER NOT NULL DEFAULT 0,
    "skipped" INTEGER NOT NULL DEFAULT 0,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "finished_at" TIMESTAMPTZ(3),

    CONSTRAINT "bulk_retries_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "bulk_retries_state_check" CHECK ("state" IN ('running', 'done', 'cancelled', 'failed')),
    CONSTRAINT "bulk_retries_finished_check" CHECK (("finished_at" IS NULL) = ("state" = 'running')),
    CONSTRAINT "bulk_retries_after_check" CHECK (("after_time" IS NULL) = ("after_call_sid" IS NULL))
);

-- One at a time, so that two people on duty do not start the same calls twice.
CREATE UNIQUE INDEX "bulk_retries_running_key" ON "bulk_retries"("state") WHERE "state" = 'running';

-- CreateIndex
CREATE INDEX "bulk_retries_created_at_idx" ON "bulk_retries"("created_at");

GRANT SELECT, INSERT ON "bulk_retries" TO "caly_app";
GRANT UPDATE ("state", "after_time", "after_call_sid", "retried", "skipped", "updated_at", "finished_at") ON "bulk_retries" TO "caly_app";
