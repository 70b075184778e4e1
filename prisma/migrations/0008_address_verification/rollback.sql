-- Loses mails that wait to be sent. Accounts whose address is not verified would work without it, so they are deleted.
SET LOCAL lock_timeout = '2s';
DELETE FROM "users" WHERE "verified_at" IS NULL;
DROP TABLE "account_mails";
ALTER TABLE "users" DROP COLUMN "verified_at", DROP COLUMN "verification_hash", DROP COLUMN "verification_expires_at";
DELETE FROM "_prisma_migrations" WHERE "migration_name" = '0008_address_verification';
