-- Loses the waveforms. After the migration is applied again, they are computed again.
SET LOCAL lock_timeout = '2s';
DROP TABLE "recording_peaks";
DELETE FROM "_prisma_migrations" WHERE "migration_name" = '0015_recording_peaks';
