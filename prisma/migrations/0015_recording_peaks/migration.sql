-- A lock that is not free within this time ends the migration; whoever needs the table waits behind it no longer than that.
SET LOCAL lock_timeout = '2s';

-- The waveform of a recording, or the reason why it has none. A row counts only while the recording's object has the same SHA-256.

-- CreateTable
CREATE TABLE "recording_peaks" (
    "recording_id" BIGINT NOT NULL,
    "sha256" TEXT NOT NULL,
    "channels" SMALLINT,
    "peaks" BYTEA,
    "duration_seconds" DECIMAL(10,3),
    "reason" TEXT,
    "next_try_at" TIMESTAMPTZ(3),
    "computed_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "recording_peaks_pkey" PRIMARY KEY ("recording_id"),
    CONSTRAINT "recording_peaks_sha256_check" CHECK ("sha256" ~ '^[0-9a-f]{64}$'),
    CONSTRAINT "recording_peaks_result_check" CHECK (num_nonnulls("channels", "peaks", "duration_seconds") = CASE WHEN "reason" IS NULL THEN 3 ELSE 0 END),
    CONSTRAINT "recording_peaks_peaks_check" CHECK ("channels" IN (1, 2) AND octet_length("peaks") > 0 AND octet_length("peaks") % "channels" = 0),
    CONSTRAINT "recording_peaks_next_try_check" CHECK ("next_try_at" IS NULL OR "reason" IS NOT NULL)
);

-- AddForeignKey
ALTER TABLE "recording_peaks" ADD CONSTRAINT "recording_peaks_recording_id_fkey" FOREIGN KEY ("recording_id") REFERENCES "recordings"("id") ON DELETE CASCADE ON UPDATE CASCADE;

GRANT SELECT, INSERT, DELETE ON "recording_peaks" TO "caly_app";
GRANT UPDATE ("sha256", "channels", "peaks", "duration_seconds", "reason", "next_try_at", "computed_at") ON "recording_peaks" TO "caly_app";
