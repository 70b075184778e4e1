// Rows of accounts, written with SQL.
import { randomBytes, randomUUID } from 'node:crypto'
import type pg from 'pg'

/** Has the form of a password hash. No password belongs to it. */
export const HASH = '$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA'
export const digest = (): string => randomBytes(32).toString('hex')

/** @param sql returns a client of the owner of the tables when a test runs */
export function accountRows(sql: () => pg.Client) {
  return {
    /** Empties all tables that tests of accounts write. */
    clear: (): Promise<unknown> =>
      sql().query(
        'TRUNCATE users, account_mails, sessions, refresh_token_blacklist, password_reset_tokens, rate_limits, signing_keys, webhook_events CASCADE',
      ),

    async user(email = `${randomUUID()}@example.com`): Promise<string> {
      const { rows } = await sql().query<{ id: string }>(
        'INSERT INTO users (email, name, password_hash) VALUES ($1, $2, $3) RETURNING id',
        [email, 'A', HASH],
      )
      return rows[0]!.id
    },

    async session(userId: string, expires = "now() + interval '1 day'"): Promise<string> {
      const { rows } = await sql().query<{ id: string }>(
        `INSERT INTO sessions (user_id, refresh_hash, refresh_expires_at, expires_at) VALUES ($1, $2, ${expires}, ${expires}) RETURNING id`,
        [userId, digest()],
      )
      return rows[0]!.id
    },

    blacklist: (sessionId: string, userId: string, expires: string): Promise<unknown> =>
      sql().query(
        `INSERT INTO refresh_token_blacklist (token_hash, session_id, user_id, reason, expires_at) VALUES ($1, $2, $3, 'rotated', ${expires})`,
        [digest(), sessionId, userId],
      ),

    resetToken: (userId: string): Promise<pg.QueryResult<{ id: string; minutes: number }>> =>
      sql().query(
        `INSERT INTO password_reset_tokens (user_id, token_hash) VALUES ($1, $2)
         RETURNING id, round(extract(epoch FROM expires_at - created_at) / 60)::int AS minutes`,
        [userId, digest()],
      ),

    count: async (table: string): Promise<number> =>
      Number((await sql().query<{ n: string }>(`SELECT count(*) AS n FROM ${table}`)).rows[0]!.n),
  }
}
