-- A lock that is not free within this time ends the migration; whoever needs the table waits behind it no longer than that.
SET LOCAL lock_timeout = '2s';

-- AlterTable: objects of calls whose recording is stored under another key.
ALTER TABLE "object_checks" ADD COLUMN "surplus" INTEGER NOT NULL DEFAULT 0;
