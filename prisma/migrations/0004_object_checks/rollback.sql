-- Loses the history of object checks.
SET LOCAL lock_timeout = '2s';
DROP TABLE "object_checks";
DELETE FROM "_prisma_migrations" WHERE "migration_name" = '0004_object_checks';
