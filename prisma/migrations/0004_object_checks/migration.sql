-- A lock that is not free within this time ends the migration; whoever needs the table waits behind it no longer than that.
SET LOCAL lock_timeout = '2s';

-- CreateTable
CREATE TABLE "object_checks" (
    "id" BIGSERIAL NOT NULL,
    "identity" TEXT NOT NULL,
    "full" BOOLEAN NOT NULL,
    "rows" INTEGER NOT NULL,
    "missing" INTEGER NOT NULL,
    "objects" INTEGER NOT NULL,
    "unknown" INTEGER NOT NULL,
    "adopted" INTEGER NOT NULL,
    "deleted" INTEGER NOT NULL,
    "foreign" INTEGER NOT NULL,
    "ended_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "object_checks_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "object_checks_identity_key" ON "object_checks"("identity");

-- CreateIndex
CREATE INDEX "object_checks_ended_at_idx" ON "object_checks"("ended_at");
