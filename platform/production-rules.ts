// Settings with which the process does not start in production because they are insecure or lose recordings. Development may use them.
// Messages name the setting and the reason, never the value.
import { areTooWide } from './address-ranges.ts'
import { isOwnedHost } from './owned-hosts.ts'
import { isGuessable, isPlaceholder, isUnchosen } from './weak-secrets.ts'

/** The settings that the rules read, as `config.ts` parses them. */
export interface ProductionSettings {
  NODE_TLS_REJECT_UNAUTHORIZED?: string | undefined
  TRUST_PROXY: number | string[] | false
  DATABASE_URL: string
  MIGRATION_DATABASE_URL?: string | undefined
  TEMPORAL_API_KEY?: string | undefined
  WASABI_ENDPOINT?: string | undefined
  WASABI_ACCESS_KEY: string
  WASABI_SECRET_KEY: string
  EXOTEL_WEBHOOK_SECRET: string[]
  EXOTEL_WEBHOOK_BASIC?: string | undefined
  EXOTEL_WEBHOOK_TOKEN?: string | undefined
  EXOTEL_WEBHOOK_ADDRESSES: string[]
  EXOTEL_API_BASE_URL: string
  EXOTEL_ACCOUNT_SID: string
  EXOTEL_API_KEY: string
  EXOTEL_API_TOKEN: string
  EXOTEL_RECORDING_HOSTS: string[]
  EXOTEL_ALLOW_LOCAL: boolean
  REGISTRATION: 'open' | 'invite' | 'closed'
  PUBLIC_URL?: string | undefined
  SMTP_URL?: string | undefined
  SESSION_DAYS: number
  RATE_LIMIT_LOGIN: number
  RATE_LIMIT_REGISTRATION: number
  RATE_LIMIT_FORGOT: number
  RATE_LIMIT_GENERAL: number
  RATE_LIMIT_MAILS: number
  RATE_LIMIT_FAILURES: number
  RECORDING_WAIT_SCALE: number
}

type Setting = keyof ProductionSettings

export interface ProductionRule {
  setting: Setting
  message: string
  isBroken: (settings: ProductionSettings) => boolean
}

/** For secrets that we generate, and those that Exotel, Wasabi and Temporal Cloud issue with at least this length. */
const SECRET_LENGTH = 16
const DATABASE_PASSWORD_LENGTH = 12
/** Shorter, because mail providers choose these passwords. */
const MAIL_PASSWORD_LENGTH = 8
/** A content delivery network, a load balancer, an ingress and a sidecar are four hops. */
const MAX_PROXY_HOPS = 5
const MAX_SESSION_DAYS = 366
/** Attempts per minute or day. A higher limit does not stop a program that guesses passwords. */
const MAX_ATTEMPTS = 1000
/** Requests per minute. Enough for many people behind one address. */
const MAX_REQUESTS = 10_000
/** Allowed parameters of SMTP_URL and their values. */
const MAIL_PARAMETERS = new Map([
  ['requireTLS', /^true$/],
  ['pool', /^true$/],
  ['name', /^[\w.-]+$/],
])
const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/

export const PRODUCTION_RULES: readonly ProductionRule[] = [
  rule('NODE_TLS_REJECT_UNAUTHORIZED', 'must not be 0: it switches off the verification of certificates', (value) => value === '0'),
  rule('TRUST_PROXY', `must not trust more than ${MAX_PROXY_HOPS} proxies: clients could choose their own address`, (value) =>
    typeof value === 'number' ? value > MAX_PROXY_HOPS : false,
  ),
  rule('TRUST_PROXY', 'must name your own proxies: with ranges this wide, clients could choose their own address', (value) =>
    Array.isArray(value) ? areTooWide(value) : false,
  ),
  ...secretRules('DATABASE_URL', DATABASE_PASSWORD_LENGTH, (value) => [passwordIn(value)]),
  rule('DATABASE_URL', 'has a password that is its user name', isPasswordTheUserName),
  ...secretRules('MIGRATION_DATABASE_URL', DATABASE_PASSWORD_LENGTH, (value) => [passwordIn(value)]),
  rule('MIGRATION_DATABASE_URL', 'has a password that is its user name', isPasswordTheUserName),
  ...secretRules('TEMPORAL_API_KEY', SECRET_LENGTH, (value) => [value]),
  rule('WASABI_ENDPOINT', 'must be https: otherwise recordings can be read in transit', isPlainHttp),
  ...secretRules('WASABI_ACCESS_KEY', SECRET_LENGTH, (value) => [value]),
  ...secretRules('WASABI_SECRET_KEY', SECRET_LENGTH, (value) => [value]),
  {
    setting: 'EXOTEL_WEBHOOK_SECRET',
    message: 'is missing: production needs a proof of origin (or EXOTEL_WEBHOOK_BASIC, or EXOTEL_WEBHOOK_TOKEN)',
    isBroken: ({ EXOTEL_WEBHOOK_SECRET: secrets, EXOTEL_WEBHOOK_BASIC: basic, EXOTEL_WEBHOOK_TOKEN: token }) =>
      secrets.length === 0 && !basic && !token,
  },
  ...secretRules('EXOTEL_WEBHOOK_SECRET', SECRET_LENGTH, (values) => values),
  ...secretRules('EXOTEL_WEBHOOK_BASIC', SECRET_LENGTH, (value) => [value?.slice(value.indexOf(':') + 1)]),
  ...secretRules('EXOTEL_WEBHOOK_TOKEN', SECRET_LENGTH, (value) => [value]),
  rule('EXOTEL_WEBHOOK_ADDRESSES', 'has ranges so wide that they restrict nothing: name the addresses, or leave it empty', areTooWide),
  rule('EXOTEL_API_BASE_URL', 'must be https: otherwise the API key can be read in transit', isPlainHttp),
  rule('EXOTEL_ACCOUNT_SID', 'is a placeholder', isPlaceholder),
  ...secretRules('EXOTEL_API_KEY', SECRET_LENGTH, (value) => [value]),
  ...secretRules('EXOTEL_API_TOKEN', SECRET_LENGTH, (value) => [value]),
  rule(
    'EXOTEL_RECORDING_HOSTS',
    'must be *.exotel.com, *.exotel.in or full host names on the internet, without *. and not shared by many owners: they get the API key',
    (value) => !value.every(isOwnedHost),
  ),
  rule('EXOTEL_ALLOW_LOCAL', 'must not be set in production', (value) => value),
  {
    setting: 'REGISTRATION',
    message: 'is open but SMTP_URL is missing: addresses are verified by mail. Set SMTP_URL, or REGISTRATION=invite or closed',
    isBroken: ({ REGISTRATION, SMTP_URL }) => REGISTRATION === 'open' && !SMTP_URL,
  },
  rule('PUBLIC_URL', 'must be https in production: links in mails contain secrets', isPlainHttp),
  ...secretRules('SMTP_URL', MAIL_PASSWORD_LENGTH, (value) => [passwordIn(value)]),
  rule(
    'SMTP_URL',
    'may only have the parameters requireTLS=true, pool=true and name, each once: others can switch TLS off',
    hasOtherMailParameters,
  ),
  rule('SMTP_URL', 'sends its password without TLS if the server offers none: use smtps://, or add ?requireTLS=true', isMailPasswordPlain),
  rule('SESSION_DAYS', `must be at most ${MAX_SESSION_DAYS}: longer sessions hardly ever end`, (value) => value > MAX_SESSION_DAYS),
  ...(['RATE_LIMIT_LOGIN', 'RATE_LIMIT_REGISTRATION', 'RATE_LIMIT_FORGOT', 'RATE_LIMIT_MAILS', 'RATE_LIMIT_FAILURES'] as const).map(
    (setting) => rule(setting, `must be at most ${MAX_ATTEMPTS}: a higher value does not limit anything`, (value) => value > MAX_ATTEMPTS),
  ),
  rule('RATE_LIMIT_GENERAL', `must be at most ${MAX_REQUESTS}: a higher value does not limit anything`, (value) => value > MAX_REQUESTS),
  rule('RECORDING_WAIT_SCALE', 'must be 1 in production: otherwise recordings are given up too early', (value) => value !== 1),
]

/** The first broken rule of each setting. */
export function brokenProductionRules(settings: ProductionSettings): ProductionRule[] {
  const broken = PRODUCTION_RULES.filter(({ isBroken }) => isBroken(settings))
  return broken.filter(({ setting }, index) => broken.findIndex((each) => each.setting === setting) === index)
}

/** A rule about the value of a setting. It does not apply if the setting is absent. */
function rule<S extends Setting>(
  setting: S,
  message: string,
  isBroken: (value: NonNullable<ProductionSettings[S]>) => boolean,
): ProductionRule {
  return {
    setting,
    message,
    isBroken: ({ [setting]: value }) => value !== undefined && isBroken(value as NonNullable<ProductionSettings[S]>),
  }
}

/** @param secretsIn returns the secrets in the setting; undefined for a secret that is not set */
function secretRules<S extends Setting>(
  setting: S,
  minLength: number,
  secretsIn: (value: NonNullable<ProductionSettings[S]>) => (string | undefined)[],
): ProductionRule[] {
  const someSecret = (isWeak: (secret: string) => boolean) => (value: NonNullable<ProductionSettings[S]>) =>
    secretsIn(value).some((secret) => secret !== undefined && isWeak(secret))
  return [
    rule(setting, 'is a placeholder, or contains one: set a secret of your own', someSecret(isUnchosen)),
    rule(
      setting,
      `has a secret that is easily guessed: at least ${minLength} random characters are needed`,
      someSecret((secret) => isGuessable(secret, minLength)),
    ),
  ]
}

function isPlainHttp(url: string): boolean {
  return url.toLowerCase().startsWith('http:')
}

/** @returns undefined if the URL has no password: PostgreSQL may get it from elsewhere, or authenticate the client in another way */
function passwordIn(url: string): string | undefined {
  return URL.canParse(url) ? decoded(new URL(url).password) || undefined : undefined
}

function isPasswordTheUserName(url: string): boolean {
  return passwordIn(url) !== undefined && passwordIn(url) === decoded(new URL(url).username)
}

/** The mail client accepts all its options as parameters, including those that switch TLS off or send mails to another host. */
function hasOtherMailParameters(smtpUrl: string): boolean {
  const parameters = [...new URL(smtpUrl).searchParams]
  const names = new Set(parameters.map(([name]) => name))
  return names.size < parameters.length || parameters.some(([name, value]) => !MAIL_PARAMETERS.get(name)?.test(value))
}

function isMailPasswordPlain(smtpUrl: string): boolean {
  const { protocol, hostname, password, searchParams } = new URL(smtpUrl)
  return protocol === 'smtp:' && password !== '' && searchParams.get('requireTLS') !== 'true' && !LOOPBACK.test(hostname)
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
