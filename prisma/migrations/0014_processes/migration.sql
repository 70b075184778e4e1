-- A lock that is not free within this time ends the migration; whoever needs the table waits behind it no longer than that.
SET LOCAL lock_timeout = '2s';

-- CreateTable
-- Each API and worker process reports itself here every few seconds.
CREATE TABLE "processes" (
    "id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "pid" INTEGER NOT NULL,
    "version" TEXT NOT NULL,
    "state" TEXT NOT NULL,
    "breaker" TEXT,
    "alarms" JSONB NOT NULL DEFAULT '[]',
    "started_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "seen_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "processes_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "processes_kind_check" CHECK ("kind" IN ('api', 'worker'))
);

-- CreateTable
-- What people did: to a call, to the schedules, to an account. "user_id" is null for a command on a machine.
CREATE TABLE "operator_actions" (
    "id" BIGSERIAL NOT NULL,
    "action" TEXT NOT NULL,
    "user_id" UUID,
    "user_email" TEXT NOT NULL,
    "call_sid" TEXT,
    "recording_id" BIGINT,
    "subject" TEXT,
    "reason" TEXT,
    "result" TEXT NOT NULL DEFAULT 'started',
    "detail" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "finished_at" TIMESTAMPTZ(3),

    CONSTRAINT "operator_actions_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "operator_actions_action_check" CHECK ("action" IN ('retry', 'stop', 'mark_not_expected', 'start_recovery', 'start_reconciliation', 'start_object_check', 'change_role')),
    CONSTRAINT "operator_actions_result_check" CHECK ("result" IN ('started', 'done', 'repeated', 'refused', 'failed')),
    CONSTRAINT "operator_actions_finished_check" CHECK (("finished_at" IS NULL) = ("result" = 'started'))
);

-- CreateIndex
CREATE INDEX "operator_actions_call_sid_id_idx" ON "operator_actions"("call_sid", "id");

GRANT SELECT, INSERT, DELETE ON "processes" TO "caly_app";
GRANT UPDATE ("state", "breaker", "alarms", "seen_at") ON "processes" TO "caly_app";
GRANT SELECT, INSERT ON "operator_actions" TO "caly_app";
GRANT UPDATE ("result", "detail", "finished_at") ON "operator_actions" TO "caly_app";
GRANT USAGE ON SEQUENCE "operator_actions_id_seq" TO "caly_app";

-- The application may not change roles. This function does it for the open session of an administrator, with the rights of the owner of
-- the tables, and records it. No administrator changes the own role, so that one always remains.
CREATE FUNCTION "change_role"("actor_session" UUID, "target" UUID, "new_role" TEXT, "why" TEXT) RETURNS TEXT
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    "actor" RECORD;
    "account" RECORD;
BEGIN
    SELECT u."id", u."email" INTO "actor" FROM "sessions" s JOIN "users" u ON u."id" = s."user_id"
    WHERE s."id" = "actor_session" AND s."ended_at" IS NULL AND s."expires_at" > now() AND u."active" AND u."role" = 'admin'
    FOR SHARE OF u;
    IF NOT FOUND THEN
        RETURN 'not_allowed';
    END IF;
    IF "actor"."id" = "target" THEN
        RETURN 'own_role';
    END IF;
    SELECT u."email", u."role" INTO "account" FROM "users" u WHERE u."id" = "target" AND u."verified_at" IS NOT NULL FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN 'unknown_account';
    END IF;
    UPDATE "users" SET "role" = "new_role" WHERE "id" = "target";
    INSERT INTO "operator_actions" ("action", "user_id", "user_email", "subject", "reason", "result", "detail", "finished_at")
    VALUES ('change_role', "actor"."id", "actor"."email", "account"."email", "why", 'done', "account"."role" || ' → ' || "new_role", now());
    RETURN 'done';
END
$$;
REVOKE EXECUTE ON FUNCTION "change_role"(UUID, UUID, TEXT, TEXT) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION "change_role"(UUID, UUID, TEXT, TEXT) TO "caly_app";
