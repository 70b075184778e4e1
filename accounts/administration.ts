// Account administration from the command line.
import { randomBytes } from 'node:crypto'
import type { Database } from '../platform/database.ts'
import { normaliseEmail } from './email-address.ts'
import { forgetLoginFailures } from './login-counters.ts'
import { hashPassword } from './passwords.ts'
import type { Role } from './roles.ts'
import { endSessions } from './sessions.ts'

/** Takes the place of an address in records of what a person did. */
const COMMAND = 'npm run accounts'

/**
 * Creates an administrator with a generated password and a verified address. If the account exists, it becomes an administrator, gets
 * the new password, and its sessions end, because a stranger may have registered the address without verifying it. The counted login
 * failures are deleted, so that login with the new password works at once.
 * @returns the password. It is not stored, so it cannot be shown again.
 */
export async function createAdministrator(database: Database, email: string): Promise<{ password: string; existed: boolean }> {
  const password = randomBytes(18).toString('base64url')
  const passwordHash = await hashPassword(password)
  return database.$transaction(async (tx) => {
    const [row] = await tx.$queryRaw<{ id: string; existed: boolean }[]>`
      INSERT INTO users AS u (email, name, password_hash, role, verified_at)
      VALUES (${normaliseEmail(email)}, 'Administrator', ${passwordHash}, 'admin', now())
      ON CONFLICT (email) DO UPDATE SET role = 'admin', active = true, password_hash = excluded.password_hash,
        verified_at = COALESCE(u.verified_at, now()), verification_hash = NULL, verification_expires_at = NULL
      RETURNING id, xmax <> 0 AS existed`
    await endSessions(tx, { userId: row!.id }, 'revoked')
    await tx.$executeRaw`
      INSERT INTO operator_actions (action, user_email, subject, result, detail, finished_at)
      VALUES ('change_role', ${COMMAND}, ${normaliseEmail(email)}, 'done', 'admin, with a new password', now())`
    await forgetLoginFailures(tx, normaliseEmail(email))
    return { password, existed: row!.existed }
  })
}

/** Changes the role and records it like a change in the API. @returns false if there is no such account */
export async function setRole(database: Database, email: string, role: Role): Promise<boolean> {
  const changed = await database.$executeRaw`
    WITH before AS (
      SELECT id, role FROM users WHERE email = ${normaliseEmail(email)} FOR NO KEY UPDATE
    ), changed AS (
      UPDATE users u SET role = ${role} FROM before WHERE u.id = before.id RETURNING u.email, before.role AS old
    )
    INSERT INTO operator_actions (action, user_email, subject, result, detail, finished_at)
    SELECT 'change_role', ${COMMAND}, email, 'done', old || ' → ' || ${role}, now() FROM changed`
  return changed > 0
}

/** An inactive account cannot log in, and its sessions end at once. @returns false if there is no such account */
export async function setActive(database: Database, email: string, active: boolean): Promise<boolean> {
  return database.$transaction(async (tx) => {
    const [user] = await tx.$queryRaw<{ id: string }[]>`
      UPDATE users SET active = ${active} WHERE email = ${normaliseEmail(email)} RETURNING id`
    if (user && !active) await endSessions(tx, { userId: user.id }, 'revoked')
    return user !== undefined
  })
}
