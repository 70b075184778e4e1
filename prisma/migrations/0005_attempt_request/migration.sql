-- AlterTable
ALTER TABLE "recording_attempts" ADD COLUMN "request_id" TEXT;
