// The types of settings. Each parses the text of an environment variable and rejects unusable values.
// Messages say what is expected, never the given value.
import { isIP } from 'node:net'
import { z } from 'zod'
import { isAddressRange } from './address-ranges.ts'
import { isDecodable, problemOfDatabaseUrl } from './database-url.ts'

/** More than any setting needs. */
const MAX_LENGTH = 10_000
const MAX_PROXY_HOPS = 100
const PROXY_NAMES = new Set(['loopback', 'linklocal', 'uniquelocal'])

const line = z.string().trim()

/** One line of any characters: a path, or a secret that is never sent. */
export const text = line.max(MAX_LENGTH, 'is too long').regex(/^\P{Cc}+$/u, 'must be one line without control characters')
/** A secret that is sent in a header or in a signed request. */
export const secret = line.max(MAX_LENGTH, 'is too long').regex(/^[\x20-\x7e]+$/, 'must consist of ASCII characters')
export const flag = z.enum(['true', 'false', '1', '0']).transform((given) => given === 'true' || given === '1')
export const port = whole(0, 65_535)
export const ipAddress = line.refine((given) => isIP(given) !== 0, 'must be an IP address')

export function whole(min: number, max: number) {
  return numeric(/^\d{1,16}$/, min, max, `must be a whole number from ${min} to ${max}`)
}

export function decimal(min: number, max: number) {
  return numeric(/^\d{1,16}(\.\d+)?(e-?\d{1,2})?$/i, min, max, `must be a number from ${min} to ${max}`)
}

function numeric(pattern: RegExp, min: number, max: number, message: string) {
  const isInRange = (value: number): boolean => value >= min && value <= max
  return line.refine((given) => pattern.test(given) && isInRange(Number(given)), message).transform(Number)
}

/** @param expected describes valid values, for the message */
export function matching(pattern: RegExp, expected: string) {
  return line.max(MAX_LENGTH, 'is too long').regex(pattern, `must be ${expected}`)
}

/** @param entries describes the entries, for the message */
function listOf(isEntry: (entry: string) => boolean, entries: string) {
  return line.transform(splitList).refine((list) => list.length > 0 && list.every(isEntry), `must be ${entries}, separated by commas`)
}

export const secrets = listOf((each) => text.safeParse(each).success, 'secrets')
export const addressRanges = listOf(isAddressRange, 'IP addresses or CIDR ranges')
export const hosts = listOf(isHostPattern, 'host names, or *. and a domain for all hosts below it')

/** The port is optional. */
function isHostPattern(each: string): boolean {
  const [isHost, , , port] = /^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*(?::(\d{1,5}))?$/i.exec(each) ?? []
  return isHost !== undefined && (port === undefined || (Number(port) >= 1 && Number(port) <= 65_535))
}

/** Pauses in minutes. */
export const pauses = listOf((each) => decimal(0.001, 527_040).safeParse(each).success, 'minutes, from 0.001 to 527040').transform((list) =>
  list.map(Number),
)

/** The result has no slash at its end, so that a path can be appended. */
export const httpUrl = line
  .refine(
    (given) => /^https?:\/\/[^\s/?#@\\]+(\/[^\s?#]*)?$/i.test(given) && URL.canParse(given),
    'must be a URL such as https://host, with http or https and without credentials, ? or #',
  )
  .transform((given) => given.replace(/\/+$/, ''))

export const postgresUrl = line.superRefine((given, context) => {
  const problem = problemOfDatabaseUrl(given)
  if (problem) context.addIssue({ code: 'custom', message: problem })
})

export const smtpUrl = line.refine(
  (given) => /^smtps?:\/\/[^\s#]+$/.test(given) && isDecodable(given) && new URL(given).hostname !== '',
  'must be a URL such as smtps://user:password@host, with special characters percent-encoded',
)

/** The port is optional. */
export const grpcAddress = line.refine(
  (given) => /^([\w.-]+|\[[\da-f:.]+\])(:\d{1,5})?$/i.test(given) && URL.canParse(`http://${given}`),
  'must be host:port',
)

export const mailSender = line
  .max(320, 'is too long')
  .regex(/^([^<>\p{Cc}]*<[^\s<>@]+@[^\s<>@]+>|[^\s<>@]+@[^\s<>@]+)$/u, 'must be an address, or Name <address>')

/** Express' `trust proxy`: a number of hops, or addresses, ranges and names of private ranges. */
export const trustedProxies = line.transform((given, context): number | string[] | false => {
  if (given === 'false') return false
  if (/^\d{1,3}$/.test(given) && Number(given) <= MAX_PROXY_HOPS) return Number(given)
  const proxies = splitList(given)
  if (proxies.length > 0 && proxies.every((each) => PROXY_NAMES.has(each) || isAddressRange(each))) return proxies
  context.addIssue({ code: 'custom', message: `must be a number of hops up to ${MAX_PROXY_HOPS}, or addresses and ranges of proxies` })
  return z.NEVER
})

function splitList(given: string): string[] {
  return given
    .split(',')
    .map((each) => each.trim())
    .filter(Boolean)
}
