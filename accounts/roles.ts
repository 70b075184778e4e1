// Roles and what they may do. Each role may do everything that the ones before it may do.
import type { Queryable } from '../platform/database.ts'
import { AccountError } from './errors.ts'

/**
 * `user`: nothing except the own account. `viewer`: sees states, and phone numbers without most of their digits. `operator`: listens,
 * acts on recordings, and sees phone numbers. `admin`: gives roles.
 */
export const ROLES = ['user', 'viewer', 'operator', 'admin'] as const
export type Role = (typeof ROLES)[number]

/** Whether a user with this role may do what `needed` may do. */
export function includesRole(role: Role, needed: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(needed)
}

const REFUSALS = {
  not_allowed: () => new AccountError('role_required', 'Only an administrator with an open session may change roles'),
  own_role: () => new AccountError('role_not_changed', 'Another administrator has to change your role'),
  unknown_account: () => new AccountError('account_unknown', 'There is no account with this id, or its address is not verified'),
}

/**
 * Changes a role and records it, both in a function of the database: the application's role may not change roles itself. The new role
 * applies to the next request of that account.
 * @throws {AccountError} `role_required`, `role_not_changed`, `account_unknown`
 */
export async function changeRole(
  database: Queryable,
  { sessionId }: { sessionId: string },
  { userId, role, reason }: { userId: string; role: Role; reason: string },
): Promise<void> {
  const [row] = await database.$queryRaw<{ result: keyof typeof REFUSALS | 'done' }[]>`
    SELECT change_role(${sessionId}::uuid, ${userId}::uuid, ${role}::text, ${reason}::text) AS result`
  const { result } = row!
  if (result !== 'done') throw REFUSALS[result]()
}

interface Account {
  id: string
  email: string
  name: string
  role: Role
  active: boolean
  createdAt: Date
}

/** The verified accounts after this address, by address. */
export function listAccounts(database: Queryable, { after, limit }: { after: string; limit: number }): Promise<Account[]> {
  return database.$queryRaw<Account[]>`
    SELECT id, email, name, role, active, created_at AS "createdAt" FROM users
    WHERE verified_at IS NOT NULL AND email > ${after}::text ORDER BY email LIMIT ${limit}::int`
}
