-- Loses how many surplus objects each check found.
SET LOCAL lock_timeout = '2s';
ALTER TABLE "object_checks" DROP COLUMN "surplus";
DELETE FROM "_prisma_migrations" WHERE "migration_name" = '0007_object_check_surplus';
