-- A lock that is not free within this time ends the migration; whoever needs the table waits behind it no longer than that.
SET LOCAL lock_timeout = '2s';

-- AlterTable
-- A default that is the same for every row fills them without rewriting the table: existing accounts count as verified.
ALTER TABLE "users"
    ADD COLUMN "verified_at" TIMESTAMPTZ(3) DEFAULT now(),
    ADD COLUMN "verification_hash" TEXT,
    ADD COLUMN "verification_expires_at" TIMESTAMPTZ(3);
ALTER TABLE "users"
    ALTER COLUMN "verified_at" DROP DEFAULT,
    ADD CONSTRAINT "users_verification_hash_check" CHECK ("verification_hash" ~ '^[0-9a-f]{64}$'),
    ADD CONSTRAINT "users_verification_expires_at_check" CHECK (("verification_hash" IS NULL) = ("verification_expires_at" IS NULL)),
    -- A link that is used, or no longer needed, does not exist any more.
    ADD CONSTRAINT "users_verified_at_check" CHECK ("verified_at" IS NULL OR "verification_hash" IS NULL);

-- CreateTable
CREATE TABLE "account_mails" (
    "id" UUID NOT NULL DEFAULT gen_random_uuid(),
    "kind" TEXT NOT NULL,
    "recipient" TEXT NOT NULL,
    "mailbox" TEXT NOT NULL,
    "source_hash" TEXT,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "next_attempt_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "ended_at" TIMESTAMPTZ(3),
    "outcome" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "account_mails_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "account_mails_kind_check" CHECK ("kind" IN ('verification', 'welcome', 'already_registered', 'password_reset', 'password_changed')),
    CONSTRAINT "account_mails_source_hash_check" CHECK ("source_hash" ~ '^[0-9a-f]{64}$'),
    CONSTRAINT "account_mails_ended_check" CHECK (("ended_at" IS NULL) = ("outcome" IS NULL)),
    CONSTRAINT "account_mails_outcome_check" CHECK ("outcome" IN ('sent', 'refused', 'expired', 'dropped', 'held_back'))
);

-- CreateIndex
CREATE UNIQUE INDEX "users_verification_hash_key" ON "users"("verification_hash");

-- CreateIndex
CREATE INDEX "account_mails_mailbox_created_at_idx" ON "account_mails"("mailbox", "created_at");

-- CreateIndex
CREATE INDEX "account_mails_source_hash_created_at_idx" ON "account_mails"("source_hash", "created_at");

-- CreateIndex
CREATE INDEX "account_mails_created_at_idx" ON "account_mails"("created_at");

-- Prisma's schema knows no partial indexes: mails that are to be sent, and addresses that were never verified.
CREATE INDEX "account_mails_waiting_idx" ON "account_mails"("next_attempt_at") WHERE "ended_at" IS NULL;
CREATE INDEX "users_unverified_idx" ON "users"("created_at") WHERE "verified_at" IS NULL;
