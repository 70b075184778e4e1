-- Loses which exports were made and which bulk retries ran.
SET LOCAL lock_timeout = '2s';
DROP TABLE "bulk_retries";
DELETE FROM "recording_accesses" WHERE "kind" = 'export';
ALTER TABLE "recording_accesses"
    DROP CONSTRAINT "recording_accesses_kind_check",
    ADD CONSTRAINT "recording_accesses_kind_check" CHECK ("kind" IN ('play', 'download')),
    DROP COLUMN "filters",
    ALTER COLUMN "call_sid" SET NOT NULL,
    ALTER COLUMN "recording_id" SET NOT NULL,
    ALTER COLUMN "link_hash" SET NOT NULL,
    ALTER COLUMN "expires_at" SET NOT NULL;
DELETE FROM "_prisma_migrations" WHERE "migration_name" = '0016_bulk';
