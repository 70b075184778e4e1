// A client of the accounts' API, and people to try it with.
import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
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

export async function registered(apiUrl: string, headers: Record<string, string> = {}): Promise<Person> {
  const person = newPerson()
  const { status } = await post(apiUrl, '/api/auth/register', person, headers)
  if (status !== 202) throw new Error(`Registration answered ${status}`)
  return person
}

export async function loggedIn(apiUrl: string, person: Person, headers: Record<string, string> = {}): Promise<BearerTokens> {
  const { email, password } = person
  const { status, body } = await post<BearerTokens>(apiUrl, '/api/auth/login', { email, password }, headers)
  if (status !== 200) throw new Error(`Login answered ${status}`)
  return body
}

/** The mails to an address whose subject has these words, once there are any. */
export function mailsTo(folder: string, address: string, subject: string): Promise<string[]> {
  return eventually(`a mail "${subject}"`, async () => {
    const mails = readdirSync(folder)
      .filter((name) => name.endsWith('.eml'))
      .map((name) => readFileSync(join(folder, name), 'utf8'))
      .filter((mail) => mail.includes(`To: ${address}`) && mail.includes(`Subject: ${subject}`))
    return mails.length > 0 && mails
  })
}

/** The secret behind the `#` of a mailed link. */
export function tokenIn(mail: string): string {
  return /#token=([\w-]+)/.exec(mail.replaceAll('=\n', '').replaceAll('=3D', '='))![1]!
}

async function answerOf<Body>(response: Response): Promise<Answer<Body>> {
  const text = await response.text()
  return { status: response.status, headers: response.headers, body: (text ? JSON.parse(text) : {}) as Body }
}
