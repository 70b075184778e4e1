-- Loses the rights of the application's role: API and workers have to connect as the owner of the tables. The role "caly_app"
-- remains, because other databases of the server may use it.
SET LOCAL lock_timeout = '2s';
REVOKE ALL ON ALL TABLES IN SCHEMA "public" FROM "caly_app";
REVOKE ALL ON ALL SEQUENCES IN SCHEMA "public" FROM "caly_app";
REVOKE USAGE ON SCHEMA "public" FROM "caly_app";
DELETE FROM "_prisma_migrations" WHERE "migration_name" = '0009_application_rights';
