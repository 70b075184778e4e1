-- AlterTable: objects of calls whose recording is stored under another key.
ALTER TABLE "object_checks" ADD COLUMN "surplus" INTEGER NOT NULL DEFAULT 0;
