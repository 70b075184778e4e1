// A client of the accounts API, and accounts for tests.
import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import type { AccountsContext } from '../../accounts/context.ts'
import { createSigningKeys } from '../../accounts/signing-keys.ts'
import type { Database } from '../../platform/database.ts'
import { disabledMailer } from '../../platform/mailer.ts'
import type { Backend } from './backend.ts'
import { eventually } from './eventually.ts'

export interface Answer<Body = Record<string, unknown>> {
  status: number
  headers: Headers
  body: Body
}

export interface Person {
  email: string
  password: string
  name: string
}

export interface BearerTokens {
  accessToken: string
  refreshToken: string
  tokenType: string
  expiresIn: number
}

/** A context for account operations on a database, without an API. It sends no mail. */
export function accountsOn(database: Database): AccountsContext {
  return {
    database,
    keys: createSigningKeys(database),
    mails: { kick: () => {}, stop: async () => {} },
    mailer: disabledMailer(),
    logger: pino({ level: 'silent' }),
    mailsPerSource: 20,
    registration: 'open',
    sessionDays: 30,
    sessionIdleDays: 7,
    publicUrl: 'https://calls.example.com',
  }
}

export function newPerson(): Person {
  const mark = randomBytes(6).toString('hex')
  return { email: `person-${mark}@example.com`, password: `a long passphrase ${mark}`, name: 'Somebody' }
}

export async function post<Body = Record<string, unknown>>(
  apiUrl: string,
  path: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Answer<Body>> {
  const response = await fetch(`${apiUrl}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  return answerOf(response)
}

export async function get<Body = Record<string, unknown>>(
  apiUrl: string,
  path: string,
  headers: Record<string, string> = {},
): Promise<Answer<Body>> {
  return answerOf(await fetch(`${apiUrl}${path}`, { headers }))
}

export function bearer(token: string): { authorization: string } {
  return { authorization: `Bearer ${token}` }
}

/** An API, and the folder that its mails are written to. */
export interface AccountsServer {
  apiUrl: string
  mailDirectory: string
}

/** Registers a person and verifies the account with the mailed link. */
export async function registered(server: AccountsServer, headers: Record<string, string> = {}): Promise<Person> {
  const person = newPerson()
  const { status } = await post(server.apiUrl, '/api/auth/register', person, headers)
  if (status !== 202) throw new Error(`Registration responded ${status}`)
  await verified(server, person, headers)
  return person
}

/** Opens the newest link that was mailed to this person. */
export async function verified(
  { apiUrl, mailDirectory }: AccountsServer,
  person: Person,
  headers: Record<string, string> = {},
): Promise<void> {
  const mails = await mailsTo(mailDirectory, person.email, 'Confirm your email address')
  const body = { token: tokenIn(mails.at(-1)!), password: person.password }
  const { status } = await post(apiUrl, '/api/auth/verify-email', body, headers)
  if (status !== 204) throw new Error(`Verification responded ${status}`)
}

export async function loggedIn(apiUrl: string, person: Person, headers: Record<string, string> = {}): Promise<BearerTokens> {
  const { email, password } = person
  const { status, body } = await post<BearerTokens>(apiUrl, '/api/auth/login', { email, password }, headers)
  if (status !== 200) throw new Error(`Login responded ${status}`)
  return body
}

/** Waits until there are at least `atLeast` mails to an address with this subject. @returns them, the oldest first */
export function mailsTo(folder: string, address: string, subject: string, atLeast = 1): Promise<string[]> {
  return eventually(`${atLeast} mails "${subject}"`, async () => {
    const mails = mailsIn(folder).filter((mail) => mail.includes(`To: ${address}`) && mail.includes(`Subject: ${subject}`))
    return mails.length >= atLeast && mails
  })
}

/** Waits until no mail is left to send. @returns the subjects of all mails to an address, the oldest first */
export async function subjectsTo(
  { database, mailDirectory }: Pick<Backend, 'database' | 'mailDirectory'>,
  address: string,
): Promise<string[]> {
  await eventually('all mails to be sent', async () => {
    const { rows } = await database.query<{ waiting: boolean }>(
      'SELECT EXISTS (SELECT FROM account_mails WHERE ended_at IS NULL) AS waiting',
    )
    return !rows[0]!.waiting
  })
  return mailsIn(mailDirectory)
    .filter((mail) => mail.includes(`To: ${address}`))
    .map((mail) => /^Subject: (.*)$/m.exec(mail)![1]!)
}

function mailsIn(folder: string): string[] {
  if (!existsSync(folder)) return []
  const names = readdirSync(folder).filter((name) => name.endsWith('.eml'))
  return names.toSorted().map((name) => readFileSync(join(folder, name), 'utf8'))
}

/** The secret after the `#` of a mailed link. */
export function tokenIn(mail: string): string {
  return /#token=([\w-]+)/.exec(mail.replaceAll('=\n', '').replaceAll('=3D', '='))![1]!
}

async function answerOf<Body>(response: Response): Promise<Answer<Body>> {
  const text = await response.text()
  return { status: response.status, headers: response.headers, body: (text ? JSON.parse(text) : {}) as Body }
}
