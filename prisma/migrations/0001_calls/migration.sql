-- A lock that is not free within this time ends the migration; whoever needs the table waits behind it no longer than that.
SET LOCAL lock_timeout = '2s';

-- How far a call has come: statuses only go up, so that any order of events gives the same row. Of several final
-- statuses "completed" stands: a call that was answered once was answered.
CREATE FUNCTION "call_status_rank"("status" TEXT) RETURNS INTEGER LANGUAGE SQL IMMUTABLE AS $$
    SELECT CASE "status"
        WHEN 'queued' THEN 1 WHEN 'ringing' THEN 2 WHEN 'in-progress' THEN 3
        WHEN 'canceled' THEN 4 WHEN 'failed' THEN 5 WHEN 'no-answer' THEN 6 WHEN 'busy' THEN 7
        WHEN 'completed' THEN 8 ELSE 0 END
$$;

-- How good the news of a recording is: of a call's and of one recording's states the higher one stays.
CREATE FUNCTION "recording_state_rank"("state" TEXT) RETURNS INTEGER LANGUAGE SQL IMMUTABLE AS $$
    SELECT CASE "state"
        WHEN 'none' THEN 0 WHEN 'awaiting' THEN 1
        WHEN 'not_recorded' THEN 2 WHEN 'failed' THEN 2 WHEN 'quarantined' THEN 2
        WHEN 'stored' THEN 3 WHEN 'erased' THEN 4 END
$$;

-- CreateTable
CREATE TABLE "calls" (
    "call_sid" TEXT NOT NULL,
    "account_sid" TEXT,
    "status" TEXT,
    "direction" TEXT,
    "from_number" TEXT,
    "to_number" TEXT,
    "started_at" TIMESTAMPTZ(3),
    "ended_at" TIMESTAMPTZ(3),
    "duration_seconds" INTEGER,
    "custom_field" TEXT,
    "recording_state" TEXT NOT NULL DEFAULT 'none',
    "recording_state_since" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "recording_url" TEXT,
    "recording_error" TEXT,
    "recording_error_code" TEXT,
    "recording_next_try_at" TIMESTAMPTZ(3),
    "recording_concluded_status" TEXT,
    "recording_date" DATE,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "calls_pkey" PRIMARY KEY ("call_sid"),
    CONSTRAINT "calls_call_sid_check" CHECK ("call_sid" ~ '^[A-Za-z0-9_-]{1,64}$'),
    CONSTRAINT "calls_duration_seconds_check" CHECK ("duration_seconds" >= 0),
    CONSTRAINT "calls_recording_state_check" CHECK ("recording_state" IN ('none', 'awaiting', 'not_recorded', 'failed', 'quarantined', 'stored', 'erased')),
    CONSTRAINT "calls_recording_url_check" CHECK (("recording_state" = 'stored') = ("recording_url" IS NOT NULL)),
    CONSTRAINT "calls_recording_error_check" CHECK (("recording_error" IS NULL) = ("recording_error_code" IS NULL))
);

-- CreateTable
CREATE TABLE "recordings" (
    "id" BIGSERIAL NOT NULL,
    "call_sid" TEXT NOT NULL,
    "source_url" TEXT NOT NULL,
    "fetch_url" TEXT,
    "state" TEXT NOT NULL DEFAULT 'awaiting',
    "state_since" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "error" TEXT,
    "error_code" TEXT,
    "next_try_at" TIMESTAMPTZ(3),
    "bucket" TEXT,
    "object_key" TEXT,
    "bytes" BIGINT,
    "sha256" TEXT,
    "content_type" TEXT,
    "codec" TEXT,
    "sample_rate" INTEGER,
    "channels" INTEGER,
    "duration_seconds" DECIMAL(10,3),
    "remark" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "recordings_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "recordings_state_check" CHECK ("state" IN ('awaiting', 'failed', 'quarantined', 'stored', 'erased')),
    CONSTRAINT "recordings_object_check" CHECK ("state" NOT IN ('stored', 'quarantined') OR ("bucket" IS NOT NULL AND "object_key" IS NOT NULL AND "bytes" > 0 AND "sha256" ~ '^[0-9a-f]{64}$')),
    CONSTRAINT "recordings_error_check" CHECK (("error" IS NULL) = ("error_code" IS NULL) AND ("state" NOT IN ('failed', 'quarantined') OR "error_code" IS NOT NULL))
);

-- CreateTable
CREATE TABLE "webhook_events" (
    "id" BIGSERIAL NOT NULL,
    "source" TEXT NOT NULL,
    "route" TEXT NOT NULL,
    "identity" TEXT NOT NULL,
    "call_sid" TEXT,
    "source_urls" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "content_type" TEXT,
    "raw_body" BYTEA,
    "fields" JSONB,
    "problem" TEXT,
    "request_id" TEXT,
    "received_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "relay_state" TEXT NOT NULL,
    "relayed_at" TIMESTAMPTZ(3),
    "relay_tries" INTEGER NOT NULL DEFAULT 0,
    "relay_error" TEXT,
    "next_relay_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "claimed_until" TIMESTAMPTZ(3),

    CONSTRAINT "webhook_events_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "webhook_events_source_check" CHECK ("source" IN ('exotel', 'recovery', 'reconcile', 'operator')),
    CONSTRAINT "webhook_events_relay_state_check" CHECK ("relay_state" IN ('none', 'pending', 'started', 'nothing_new')),
    CONSTRAINT "webhook_events_pending_check" CHECK ("relay_state" <> 'pending' OR "call_sid" IS NOT NULL)
);

-- CreateIndex
CREATE INDEX "calls_recording_state_idx" ON "calls"("recording_state", "recording_state_since");

-- CreateIndex
CREATE UNIQUE INDEX "recordings_call_sid_source_url_key" ON "recordings"("call_sid", "source_url");

-- CreateIndex
CREATE UNIQUE INDEX "webhook_events_identity_key" ON "webhook_events"("identity");

-- CreateIndex
CREATE INDEX "webhook_events_call_sid_id_idx" ON "webhook_events"("call_sid", "id");

-- CreateIndex
CREATE INDEX "webhook_events_received_at_idx" ON "webhook_events"("received_at");

-- What the relay claims; Prisma's schema knows no partial indexes.
CREATE INDEX "webhook_events_relay_idx" ON "webhook_events"("next_relay_at", "id") WHERE "relay_state" = 'pending';

-- AddForeignKey
ALTER TABLE "recordings" ADD CONSTRAINT "recordings_call_sid_fkey" FOREIGN KEY ("call_sid") REFERENCES "calls"("call_sid") ON DELETE RESTRICT ON UPDATE CASCADE;
