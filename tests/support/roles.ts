import type { Role } from '../../accounts/roles.ts'
import { bearer, loggedIn, registered, type Person } from './accounts.ts'
import type { Backend } from './backend.ts'

export interface Colleague {
  person: Person
  /** Authenticates requests. */
  headers: { authorization: string }
}

/** Registers a person and gives the account a role. */
export async function colleague(backend: Backend, role: Role): Promise<Colleague> {
  const person = await registered(backend)
  await giveRole(backend, person, role)
  const { accessToken } = await loggedIn(backend.apiUrl, person)
  return { person, headers: bearer(accessToken) }
}

export async function giveRole({ database }: Pick<Backend, 'database'>, { email }: Person, role: Role): Promise<void> {
  await database.query('UPDATE users SET role = $1 WHERE email = $2', [role, email])
}
