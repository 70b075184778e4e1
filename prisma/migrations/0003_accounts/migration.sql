-- A lock that is not free within this time ends the migration; whoever needs the table waits behind it no longer than that.
SET LOCAL lock_timeout = '2s';

CREATE FUNCTION "set_updated_at"() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    NEW."updated_at" = now();
    RETURN NEW;
END
$$;

-- CreateTable
CREATE TABLE "users" (
    "id" UUID NOT NULL DEFAULT gen_random_uuid(),
    "email" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "password_hash" TEXT NOT NULL,
    "role" TEXT NOT NULL DEFAULT 'user',
    "active" BOOLEAN NOT NULL DEFAULT true,
    "registered_again_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "users_pkey" PRIMARY KEY ("id"),
    -- Lower case and ASCII: letters that only look alike make no second account, and no case mapping makes two of one.
    CONSTRAINT "users_email_check" CHECK ("email" ~ '^[!-@\[-~]+@[!-@\[-~]+$' AND length("email") <= 254),
    CONSTRAINT "users_name_check" CHECK (length("name") BETWEEN 1 AND 100),
    CONSTRAINT "users_password_hash_check" CHECK ("password_hash" LIKE '$argon2id$%'),
    CONSTRAINT "users_role_check" CHECK ("role" IN ('admin', 'operator', 'user'))
);

-- CreateTable
CREATE TABLE "sessions" (
    "id" UUID NOT NULL DEFAULT gen_random_uuid(),
    "user_id" UUID NOT NULL,
    "refresh_hash" TEXT NOT NULL,
    "refresh_expires_at" TIMESTAMPTZ(3) NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "ended_at" TIMESTAMPTZ(3),
    "end_reason" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "sessions_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "sessions_refresh_hash_check" CHECK ("refresh_hash" ~ '^[0-9a-f]{64}$'),
    CONSTRAINT "sessions_expires_at_check" CHECK ("refresh_expires_at" <= "expires_at"),
    CONSTRAINT "sessions_ended_check" CHECK (("ended_at" IS NULL) = ("end_reason" IS NULL)),
    CONSTRAINT "sessions_end_reason_check" CHECK ("end_reason" IN ('logged_out', 'revoked', 'reused', 'password_changed'))
);

-- CreateTable
CREATE TABLE "refresh_token_blacklist" (
    "id" UUID NOT NULL DEFAULT gen_random_uuid(),
    "token_hash" TEXT NOT NULL,
    "session_id" UUID NOT NULL,
    "user_id" UUID NOT NULL,
    "reason" TEXT NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "refresh_token_blacklist_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "refresh_token_blacklist_token_hash_check" CHECK ("token_hash" ~ '^[0-9a-f]{64}$'),
    CONSTRAINT "refresh_token_blacklist_reason_check" CHECK ("reason" IN ('rotated', 'logged_out', 'revoked', 'reused', 'password_changed'))
);

-- CreateTable
CREATE TABLE "password_reset_tokens" (
    "id" UUID NOT NULL DEFAULT gen_random_uuid(),
    "user_id" UUID NOT NULL,
    "token_hash" TEXT NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL DEFAULT (now() + '00:15:00'::interval),
    "used_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "password_reset_tokens_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "password_reset_tokens_token_hash_check" CHECK ("token_hash" ~ '^[0-9a-f]{64}$'),
    CONSTRAINT "password_reset_tokens_expires_at_check" CHECK ("expires_at" > "created_at"),
    CONSTRAINT "password_reset_tokens_used_at_check" CHECK ("used_at" >= "created_at")
);

-- CreateTable
CREATE TABLE "signing_keys" (
    "kid" TEXT NOT NULL,
    "secret" BYTEA NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "signing_keys_pkey" PRIMARY KEY ("kid"),
    CONSTRAINT "signing_keys_secret_check" CHECK (octet_length("secret") = 32)
);

-- As rate-limiter-flexible expects it; "expire" is in milliseconds since 1970.
CREATE TABLE "rate_limits" (
    "key" VARCHAR(255) NOT NULL,
    "points" INTEGER NOT NULL DEFAULT 0,
    "expire" BIGINT,

    CONSTRAINT "rate_limits_pkey" PRIMARY KEY ("key")
);

-- CreateIndex
CREATE UNIQUE INDEX "users_email_key" ON "users"("email");

-- CreateIndex
CREATE UNIQUE INDEX "sessions_refresh_hash_key" ON "sessions"("refresh_hash");

-- CreateIndex
CREATE INDEX "sessions_user_id_idx" ON "sessions"("user_id");

-- CreateIndex
CREATE INDEX "sessions_refresh_expires_at_idx" ON "sessions"("refresh_expires_at");

-- CreateIndex
CREATE UNIQUE INDEX "refresh_token_blacklist_token_hash_key" ON "refresh_token_blacklist"("token_hash");

-- CreateIndex
CREATE INDEX "refresh_token_blacklist_session_id_idx" ON "refresh_token_blacklist"("session_id");

-- CreateIndex
CREATE INDEX "refresh_token_blacklist_user_id_idx" ON "refresh_token_blacklist"("user_id");

-- CreateIndex
CREATE INDEX "refresh_token_blacklist_expires_at_idx" ON "refresh_token_blacklist"("expires_at");

-- CreateIndex
CREATE UNIQUE INDEX "password_reset_tokens_token_hash_key" ON "password_reset_tokens"("token_hash");

-- CreateIndex
CREATE INDEX "password_reset_tokens_user_id_idx" ON "password_reset_tokens"("user_id");

-- CreateIndex
CREATE INDEX "password_reset_tokens_expires_at_idx" ON "password_reset_tokens"("expires_at");

-- CreateIndex
CREATE INDEX "rate_limits_expire_idx" ON "rate_limits"("expire");

-- What clean-up has left to empty; Prisma's schema knows no partial indexes.
CREATE INDEX "webhook_events_bodies_idx" ON "webhook_events"("received_at") WHERE "raw_body" IS NOT NULL OR "fields" IS NOT NULL;

-- AddForeignKey
ALTER TABLE "sessions" ADD CONSTRAINT "sessions_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "users"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "refresh_token_blacklist" ADD CONSTRAINT "refresh_token_blacklist_session_id_fkey" FOREIGN KEY ("session_id") REFERENCES "sessions"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "refresh_token_blacklist" ADD CONSTRAINT "refresh_token_blacklist_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "users"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "password_reset_tokens" ADD CONSTRAINT "password_reset_tokens_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "users"("id") ON DELETE CASCADE ON UPDATE CASCADE;

CREATE TRIGGER "users_set_updated_at" BEFORE UPDATE ON "users" FOR EACH ROW EXECUTE FUNCTION "set_updated_at"();
CREATE TRIGGER "sessions_set_updated_at" BEFORE UPDATE ON "sessions" FOR EACH ROW EXECUTE FUNCTION "set_updated_at"();
CREATE TRIGGER "password_reset_tokens_set_updated_at" BEFORE UPDATE ON "password_reset_tokens" FOR EACH ROW EXECUTE FUNCTION "set_updated_at"();

-- Each new row takes a few expired ones with it, so that the table stays small also where no clean-up runs.
CREATE FUNCTION "delete_expired_blacklist_rows"() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM "refresh_token_blacklist" WHERE "id" IN (
        SELECT "id" FROM "refresh_token_blacklist" WHERE "expires_at" < now() ORDER BY "expires_at" LIMIT 10 FOR UPDATE SKIP LOCKED
    );
    RETURN NULL;
END
$$;
CREATE TRIGGER "refresh_token_blacklist_clean_up" AFTER INSERT ON "refresh_token_blacklist" FOR EACH STATEMENT EXECUTE FUNCTION "delete_expired_blacklist_rows"();
