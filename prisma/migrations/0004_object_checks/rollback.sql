-- Loses the history of object checks.
DROP TABLE "object_checks";
DELETE FROM "_prisma_migrations" WHERE "migration_name" = '0004_object_checks';
