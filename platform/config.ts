// Every setting of the API and the worker: one schema, read once at start. `.env.example` explains each.
import ipaddr from 'ipaddr.js'
import { z } from 'zod'
import { isAddressRange } from './address-ranges.ts'
import { problemOfDatabaseUrl } from './database-url.ts'
import { brokenProductionRules } from './production-rules.ts'
import { retrySettings } from './retry-settings.ts'

const flag = z.enum(['true', 'false', '1', '0']).transform((text) => text === 'true' || text === '1')
const list = z
  .string()
  .default('')
  .transform((text) => splitList(text))
const addresses = list.refine((each) => each.every(isAddressRange), 'must be IP addresses or CIDR ranges, separated by commas')
const address = z.string().refine((text) => ipaddr.isValid(text), 'must be an IP address')
const port = z.coerce.number().int().min(0).max(65_535)
const count = z.coerce.number().int().positive()
const minutes = z.coerce.number().positive()
const filled = z.string().trim().min(1)
const databaseUrl = filled.superRefine((text, context) => {
  const problem = problemOfDatabaseUrl(text)
  if (problem) context.addIssue({ code: 'custom', message: problem })
})
const MB = 1024 ** 2
const GB = 1024 ** 3

const temporalSettings = {
  TEMPORAL_ADDRESS: filled.default('127.0.0.1:7233'),
  TEMPORAL_NAMESPACE: filled.default('default'),
  TEMPORAL_API_KEY: filled.optional(),
  TEMPORAL_TLS: flag.default(false),
}

/** The first day of a backfill, where its command names none. */
const backfillSettings = { RECONCILE_BACKFILL_FROM: z.iso.date().optional() }

const recordingWaitScale = z.coerce.number().positive().max(1).default(1)

const schema = z
  .object({
    /** Production unless somebody asks for development: it refuses settings that protect nothing. */
    NODE_ENV: z.enum(['development', 'test', 'production']).default('production'),
    /** Lets production start on a version of Node that gets no security fixes. */
    ALLOW_OLD_NODE: flag.default(false),
    /** Node's own. */
    NODE_TLS_REJECT_UNAUTHORIZED: z.string().optional(),
    LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
    LOG_FILE: z.string().optional(),
    /** The address to listen on: by default all in production, this machine only elsewhere. */
    HOST: address.optional(),
    PORT: port.default(3000),
    /** The same for OPERATIONS_PORT. */
    OPERATIONS_HOST: address.optional(),
    /** Metrics of the API, health and metrics of the worker: not for the public, hence apart. 0: any free port. */
    OPERATIONS_PORT: port.default(9464),
    /** Express' `trust proxy`: a number of hops, or addresses and ranges of proxies. */
    TRUST_PROXY: z.string().default('').transform(readTrustProxy),
    /** The page /docs: by default everywhere but in production. */
    SERVE_DOCS: flag.optional(),
    /** How long requests and transfers may go on after SIGTERM. */
    SHUTDOWN_GRACE_SECONDS: count.default(10),

    /** The application's role. */
    DATABASE_URL: databaseUrl,
    /** The role that owns the tables; `prisma.config.ts` reads it for migrations. */
    MIGRATION_DATABASE_URL: databaseUrl.optional(),
    DATABASE_POOL_SIZE: count.default(10),

    ...temporalSettings,

    WASABI_ENDPOINT: z.url().optional(),
    WASABI_REGION: filled.default('ap-southeast-1'),
    WASABI_BUCKET: filled,
    WASABI_ACCESS_KEY: filled,
    WASABI_SECRET_KEY: filled,

    EXOTEL_WEBHOOK_SECRET: list,
    EXOTEL_WEBHOOK_BASIC: z
      .string()
      .regex(/^[^:]+:.+$/, 'must be user:password')
      .optional(),
    EXOTEL_WEBHOOK_TOKEN: filled.optional(),
    EXOTEL_WEBHOOK_ADDRESSES: addresses,
    EXOTEL_WEBHOOK_TIMESTAMP: z.enum(['enforce', 'log']).default('enforce'),

    EXOTEL_API_BASE_URL: z.url().default('https://api.exotel.com'),
    EXOTEL_ACCOUNT_SID: filled,
    EXOTEL_API_KEY: filled,
    EXOTEL_API_TOKEN: filled,
    EXOTEL_RECORDING_HOSTS: z.string().default('*.exotel.com,*.exotel.in').transform(splitList),
    EXOTEL_ALLOW_LOCAL: flag.default(false),

    /** Guards the test routes; without it there are none. */
    DEV_TEST_TOKEN: filled.optional(),

    /** Who may make an account: anybody, the invited, or nobody but an administrator. */
    REGISTRATION: z.enum(['open', 'invite', 'closed']).default('open'),
    /** A session ends after so long, or after so long without a refresh. */
    SESSION_DAYS: count.default(30),
    SESSION_IDLE_DAYS: count.default(7),
    /** Where links in mails lead: the address under which people reach this service. */
    PUBLIC_URL: z.url({ protocol: /^https?$/ }).optional(),
    SMTP_URL: z.url({ protocol: /^smtps?$/ }).optional(),
    MAIL_FROM: filled.default('caly <no-reply@localhost>'),
    /** Without SMTP_URL mails become files here; production sends none. */
    MAIL_DIRECTORY: filled.default('.data/mail'),

    /** Requests a minute and client address. */
    RATE_LIMIT_LOGIN: count.default(5),
    RATE_LIMIT_REGISTRATION: count.default(3),
    RATE_LIMIT_FORGOT: count.default(3),
    RATE_LIMIT_GENERAL: count.default(300),
    /** Mails about registration a day and client address, and as many with reset links. */
    RATE_LIMIT_MAILS: count.default(20),
    /** Wrong passwords from one client address for one account before each further one has to wait. */
    RATE_LIMIT_FAILURES: count.default(5),

    SESSION_CLEANUP_EVERY_MINUTES: minutes.default(30),
    /** Bodies of webhooks hold numbers and are of no use once their call is concluded. */
    WEBHOOK_BODY_DAYS: count.default(90),

    ...retrySettings,

    /** Shortens every wait of a recording; frozen into a run's input at its start. */
    RECORDING_WAIT_SCALE: recordingWaitScale,
    RECORDING_MAX_BYTES: count.default(6 * GB),
    /** An answered call at least this long that ends without a recording is `RecordingMissing`, not `not_recorded`. */
    RECORDING_EXPECTED_FROM_SECONDS: count.default(10),
    RECOVERY_EVERY_MINUTES: minutes.default(5),
    /** After the first failure, the second, …; the last one for all that follow. */
    RECOVERY_PAUSES_MINUTES: z.string().default('15,60,360,1440,4320,1440').transform(readPauses),
    /** From the first failure: as long as Exotel keeps recordings. */
    RECOVERY_FOR_DAYS: count.default(30),
    RECOVERY_PER_PASS: count.default(200),
    RECONCILE_EVERY_MINUTES: minutes.default(60),
    LINK_SWEEP_EVERY_MINUTES: minutes.default(3),
    ...backfillSettings,
    SPOOL_DIRECTORY: filled.default('.data/spool'),
    SPOOL_MAX_BYTES: count.default(20 * GB),
    SPOOL_MIN_FREE_BYTES: count.default(512 * MB),
    /** How long a spooled file waits for its worker before the recording is downloaded again elsewhere. */
    SPOOL_LOST_AFTER_SECONDS: count.default(600),
    /** Names this worker's spool in its task queue; must survive restarts and be unique. The host's name unless set. */
    WORKER_NAME: filled.optional(),
    WORKER_DOWNLOADS: count.default(16),
    WORKER_UPLOADS: count.default(16),
  })
  .superRefine((settings, context) => {
    if (settings.SMTP_URL && !settings.PUBLIC_URL)
      context.addIssue({ code: 'custom', path: ['PUBLIC_URL'], message: 'is missing: links in mails lead there' })
    if (settings.NODE_ENV !== 'production') return
    for (const { setting, message } of brokenProductionRules(settings)) context.addIssue({ code: 'custom', path: [setting], message })
  })
  .transform((settings) => ({
    ...settings,
    WASABI_ENDPOINT: (settings.WASABI_ENDPOINT ?? `https://s3.${settings.WASABI_REGION}.wasabisys.com`).replace(/\/+$/, ''),
    EXOTEL_API_BASE_URL: settings.EXOTEL_API_BASE_URL.replace(/\/+$/, ''),
    PUBLIC_URL: (settings.PUBLIC_URL ?? `http://localhost:${settings.PORT}`).replace(/\/+$/, ''),
    HOST: settings.HOST ?? defaultHost(settings.NODE_ENV),
    OPERATIONS_HOST: settings.OPERATIONS_HOST ?? defaultHost(settings.NODE_ENV),
    SERVE_DOCS: settings.SERVE_DOCS ?? settings.NODE_ENV !== 'production',
    LOG_FILE: settings.LOG_FILE ?? (settings.NODE_ENV === 'development' ? 'logs/app.log' : ''),
  }))

export type Config = z.infer<typeof schema>

/** Says which settings are wrong, never their values. */
export class BadConfiguration extends Error {
  constructor(problems: string[]) {
    super(`The configuration is not usable. ${problems.join('. ')}. See .env.example.`)
  }
}

/**
 * Reads and checks all settings; an empty variable counts as unset.
 * @throws {BadConfiguration} naming every setting that is missing or wrong
 */
export function readConfig(env: NodeJS.ProcessEnv = process.env): Config {
  return read(schema, env)
}

export type TemporalSettings = Pick<Config, keyof typeof temporalSettings>

/** Only what it takes to reach Temporal. */
export function readTemporalSettings(env: NodeJS.ProcessEnv = process.env): TemporalSettings {
  return read(z.object(temporalSettings), env)
}

/** What `npm run backfill` needs. */
export function readBackfillSettings(env: NodeJS.ProcessEnv = process.env) {
  return read(z.object({ ...temporalSettings, ...backfillSettings, RECORDING_WAIT_SCALE: recordingWaitScale }), env)
}

function read<Schema extends z.ZodType>(settings: Schema, env: NodeJS.ProcessEnv): z.infer<Schema> {
  const filledIn = Object.fromEntries(Object.entries(env).filter(([, value]) => value?.trim()))
  const result = settings.safeParse(filledIn, { reportInput: true }) // so that what is missing is told from what is wrong
  if (result.success) return result.data
  throw new BadConfiguration(result.error.issues.map((issue) => `${issue.path.join('.')} ${describeIssue(issue)}`))
}

function describeIssue(issue: z.core.$ZodIssue): string {
  return issue.code === 'invalid_type' && issue.input === undefined ? 'is missing' : issue.message.replace(/^Invalid input: /, 'is wrong: ')
}

function defaultHost(environment: string): string {
  return environment === 'production' ? '::' : '127.0.0.1'
}

function splitList(text: string): string[] {
  return text
    .split(',')
    .map((each) => each.trim())
    .filter(Boolean)
}

function readPauses(text: string, context: z.RefinementCtx): number[] {
  const pauses = splitList(text).map(Number)
  if (pauses.length > 0 && pauses.every((each) => each > 0)) return pauses
  context.addIssue({ code: 'custom', message: 'must be minutes, separated by commas' })
  return z.NEVER
}

function readTrustProxy(text: string, context: z.RefinementCtx): number | string[] | false {
  if (!text || text === 'false') return false
  if (/^\d+$/.test(text)) return Number(text)
  const named = new Set(['loopback', 'linklocal', 'uniquelocal'])
  const proxies = splitList(text)
  if (proxies.every((each) => named.has(each) || isAddressRange(each))) return proxies
  context.addIssue({ code: 'custom', message: 'must be a number of hops, or addresses and ranges of proxies' })
  return z.NEVER
}
