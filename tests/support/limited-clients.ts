// Clients of the accounts API that reach its limits.
import { post, type Answer, type Person } from './accounts.ts'

/** The limits that production has by default. */
export const USUAL_LIMITS = {
  RATE_LIMIT_LOGIN: '5',
  RATE_LIMIT_REGISTRATION: '3',
  RATE_LIMIT_FORGOT: '3',
  RATE_LIMIT_GENERAL: '300',
  RATE_LIMIT_FAILURES: '5',
}

/** A process remembers the clients that it rejected, so each test uses its own address. */
let hosts = 0
export const newAddress = (): string => `198.18.${(hosts += 1) >> 8}.${hosts & 255}`

/** The header that a proxy adds for a client at this address. */
export const behindProxy = (address: string): Record<string, string> => ({ 'x-forwarded-for': address })

export const logIn = (apiUrl: string, { email, password }: Person, headers = {}): Promise<Answer> =>
  post(apiUrl, '/api/auth/login', { email, password }, headers)

/** Does all the work at the same time. */
export const times = <T>(count: number, work: (i: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, i) => work(i)))

export const statuses = async (answers: Promise<{ status: number }[]>): Promise<number[]> => (await answers).map(({ status }) => status)

export const count = (all: number[], status: number): number => all.filter((each) => each === status).length

/** With what is left of a window, the least that the window can last: a busy machine takes its time between two requests. */
export const secondsSince = (ms: number): number => (Date.now() - ms) / 1000
