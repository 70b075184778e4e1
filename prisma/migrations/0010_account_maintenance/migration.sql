-- Waits for sessions that use "sessions" and "rate_limits", and makes others wait for it, no longer than this.
SET LOCAL lock_timeout = '2s';

-- AlterTable
-- What the CSRF token of a session is: it lives as long as the session, whichever keys sign its access tokens.
ALTER TABLE "sessions" ADD COLUMN "csrf_token" UUID NOT NULL DEFAULT gen_random_uuid();

-- All rows of an account are found by the beginning of their key, whatever the collation of the database is.
ALTER TABLE "rate_limits" ALTER COLUMN "key" TYPE VARCHAR(255) COLLATE "C";

-- CreateTable
CREATE TABLE "clean_ups" (
    "kind" TEXT NOT NULL,
    "known_since" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "finished_at" TIMESTAMPTZ(3),
    "failed_at" TIMESTAMPTZ(3),
    "problem" TEXT,

    CONSTRAINT "clean_ups_pkey" PRIMARY KEY ("kind")
);

GRANT SELECT, INSERT ON "clean_ups" TO "caly_app";
GRANT UPDATE ("finished_at", "failed_at", "problem") ON "clean_ups" TO "caly_app";
