// A client of the accounts' API, and people to try it with.
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

/** Accounts on a database, without an API; no mail is sent. */
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

/** Where accounts are made: an API, and the folder that its mails go to. */
export interface AccountsServer {
  apiUrl: string
  mailDirectory: string
}

/** A person whose account is verified by the link of the mail, as in real life. */
export async function registered(server: AccountsServer, headers: Record<string, string> = {}): Promise<Person> {
  const person = newPerson()
  const { status } = await post(server.apiUrl, '/api/auth/register', person, headers)
  if (status !== 202) throw new Error(`Registration answered ${status}`)
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
  if (status !== 204) throw new Error(`Verification answered ${status}`)
}

export async function loggedIn(apiUrl: string, person: Person, headers: Record<string, string> = {}): Promise<BearerTokens> {
  const { email, password } = person
  const { status, body } = await post<BearerTokens>(apiUrl, '/api/auth/login', { email, password }, headers)
  if (status !== 200) throw new Error(`Login answered ${status}`)
  return body
}

/** The mails to an address whose subject has these words, oldest first, once there are at least so many. */
export function mailsTo(folder: string, address: string, subject: string, atLeast = 1): Promise<string[]> {
  return eventually(`${atLeast} mails "${subject}"`, async () => {
    const mails = mailsIn(folder).filter((mail) => mail.includes(`To: ${address}`) && mail.includes(`Subject: ${subject}`))
    return mails.length >= atLeast && mails
  })
}

/** The subjects of all mails to an address, oldest first, once no mail waits to be sent. */
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

/** The secret behind the `#` of a mailed link. */
export function tokenIn(mail: string): string {
  return /#token=([\w-]+)/.exec(mail.replaceAll('=\n', '').replaceAll('=3D', '='))![1]!
}

async function answerOf<Body>(response: Response): Promise<Answer<Body>> {
  const text = await response.text()
  return { status: response.status, headers: response.headers, body: (text ? JSON.parse(text) : {}) as Body }
}
