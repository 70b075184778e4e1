-- A lock that is not free within this time ends the migration; whoever needs the table waits behind it no longer than that.
SET LOCAL lock_timeout = '2s';

-- Each refresh read the expired rows from the beginning of their index. After a pause, and while an old snapshot is open, these are
-- many rows that are deleted but not yet vacuumed. Clean-up deletes expired rows outside of requests.
DROP TRIGGER "refresh_token_blacklist_clean_up" ON "refresh_token_blacklist";
DROP FUNCTION "delete_expired_blacklist_rows"();
