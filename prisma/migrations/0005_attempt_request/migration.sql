-- A lock that is not free within this time ends the migration; whoever needs the table waits behind it no longer than that.
SET LOCAL lock_timeout = '2s';

-- AlterTable
ALTER TABLE "recording_attempts" ADD COLUMN "request_id" TEXT;
