-- A lock that is not free within this time ends the migration; whoever needs the table waits behind it no longer than that.
SET LOCAL lock_timeout = '2s';

-- The digits of a phone number with its country code, so that all spellings of one number are equal. A number without a country code is
-- Indian. Null for texts that are no phone number, such as a SIP address.
CREATE FUNCTION "phone_digits"("number" TEXT) RETURNS TEXT LANGUAGE SQL IMMUTABLE AS $$
    SELECT CASE
        WHEN "number" ~ '[A-Za-z@]' OR length(digits) NOT BETWEEN 3 AND 20 THEN NULL
        WHEN "number" ~ '^\s*\+' THEN digits
        WHEN digits LIKE '00%' THEN substr(digits, 3)
        WHEN digits LIKE '0%' AND length(digits) = 11 THEN '91' || substr(digits, 2)
        WHEN digits LIKE '091%' AND length(digits) = 13 THEN substr(digits, 2)
        WHEN length(digits) = 10 THEN '91' || digits
        ELSE digits END
    FROM (SELECT regexp_replace("number", '[^0-9]', '', 'g') AS digits) AS d
$$;

-- Columns without a default, or with the same one for every row, are added without rewriting the table.
ALTER TABLE "calls"
    ADD COLUMN "from_reversed" TEXT COLLATE "C",
    ADD COLUMN "to_reversed" TEXT COLLATE "C",
    ADD COLUMN "agent_number" TEXT,
    ADD COLUMN "exophone" TEXT,
    ADD COLUMN "call_time" TIMESTAMPTZ(3),
    ADD COLUMN "search_filled" BOOLEAN NOT NULL DEFAULT false;

-- Whichever version of the code writes a call, these columns follow from the others. A time that is far from the arrival of the call is
-- wrong, and would keep the call at one end of each list.
CREATE FUNCTION "set_call_search"() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    "earliest" TIMESTAMPTZ := NEW."created_at" - interval '200 days';
    "latest" TIMESTAMPTZ := NEW."created_at" + interval '15 minutes';
BEGIN
    NEW."from_reversed" = reverse(phone_digits(NEW."from_number"));
    NEW."to_reversed" = reverse(phone_digits(NEW."to_number"));
    NEW."call_time" = CASE
        WHEN NEW."started_at" BETWEEN "earliest" AND "latest" THEN NEW."started_at"
        WHEN NEW."ended_at" BETWEEN "earliest" AND "latest" THEN NEW."ended_at"
        ELSE NEW."created_at" END;
    RETURN NEW;
END
$$;
CREATE TRIGGER "calls_set_search" BEFORE INSERT OR UPDATE OF "from_number", "to_number", "started_at", "ended_at" ON "calls"
    FOR EACH ROW EXECUTE FUNCTION "set_call_search"();

-- Calls that exist already are filled by the API, in small transactions (calls/call-search.ts). So all indexes but the first one are built
-- from no rows. The first one is built from times, which are in the order of the table. Prisma's schema knows no partial indexes.
CREATE INDEX "calls_unfilled_idx" ON "calls"("created_at") WHERE NOT "search_filled";
CREATE INDEX "calls_list_idx" ON "calls"("call_time", "call_sid") WHERE "call_time" IS NOT NULL;
CREATE INDEX "calls_list_state_idx" ON "calls"("recording_state", "call_time", "call_sid") WHERE "call_time" IS NOT NULL;
CREATE INDEX "calls_list_code_idx" ON "calls"("recording_error_code", "call_time", "call_sid") WHERE "call_time" IS NOT NULL AND "recording_error_code" IS NOT NULL;
CREATE INDEX "calls_list_agent_idx" ON "calls"("agent_number", "call_time", "call_sid") WHERE "call_time" IS NOT NULL AND "agent_number" IS NOT NULL;
CREATE INDEX "calls_list_exophone_idx" ON "calls"("exophone", "call_time", "call_sid") WHERE "call_time" IS NOT NULL AND "exophone" IS NOT NULL;
CREATE INDEX "calls_list_custom_field_idx" ON "calls"("custom_field", "call_time", "call_sid") WHERE "call_time" IS NOT NULL AND "custom_field" IS NOT NULL;
-- A full number is one key; the last digits of a number are the beginning of a key.
CREATE INDEX "calls_from_idx" ON "calls"("from_reversed", "call_time", "call_sid") WHERE "call_time" IS NOT NULL AND "from_reversed" IS NOT NULL;
CREATE INDEX "calls_to_idx" ON "calls"("to_reversed", "call_time", "call_sid") WHERE "call_time" IS NOT NULL AND "to_reversed" IS NOT NULL;

GRANT UPDATE ("agent_number", "exophone", "search_filled") ON "calls" TO "caly_app";

-- A new role: sees states, and numbers without most of their digits.
ALTER TABLE "users" DROP CONSTRAINT "users_role_check";
ALTER TABLE "users" ADD CONSTRAINT "users_role_check" CHECK ("role" IN ('admin', 'operator', 'viewer', 'user'));

-- CreateTable
-- Who listened to what. Without foreign keys: the rows outlive the accounts.
CREATE TABLE "recording_accesses" (
    "id" BIGSERIAL NOT NULL,
    "call_sid" TEXT NOT NULL,
    "recording_id" BIGINT NOT NULL,
    "kind" TEXT NOT NULL,
    "user_id" UUID NOT NULL,
    "user_email" TEXT NOT NULL,
    "session_id" UUID NOT NULL,
    "source" TEXT NOT NULL,
    "link_hash" TEXT NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "recording_accesses_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "recording_accesses_kind_check" CHECK ("kind" IN ('play', 'download')),
    CONSTRAINT "recording_accesses_link_hash_check" CHECK ("link_hash" ~ '^[0-9a-f]{64}$')
);

-- CreateIndex
CREATE UNIQUE INDEX "recording_accesses_link_hash_key" ON "recording_accesses"("link_hash");

-- CreateIndex
CREATE INDEX "recording_accesses_call_sid_id_idx" ON "recording_accesses"("call_sid", "id");

GRANT SELECT, INSERT ON "recording_accesses" TO "caly_app";
GRANT USAGE ON SEQUENCE "recording_accesses_id_seq" TO "caly_app";
