// Every setting of the API and the worker: one schema, read once at start. `.env.example` explains each.
import { z } from 'zod'
import { brokenProductionRules } from './production-rules.ts'
import { firstAboveMax, retrySettings } from './retry-settings.ts'
import {
  addressRanges,
  decimal,
  flag,
  grpcAddress,
  hosts,
  httpUrl,
  ipAddress,
  mailSender,
  matching,
  pauses,
  port,
  postgresUrl,
  secret,
  secrets,
  smtpUrl,
  text,
  trustedProxies,
  whole,
} from './setting-types.ts'

const MB = 1024 ** 2
const GB = 1024 ** 3
const TB = 1024 ** 4

/** A hundred years. */
const days = whole(1, 36_500)
/** Of schedules; up to a year. */
const intervalMinutes = decimal(0.01, 527_040)
const seconds = whole(1, 86_400)
const bytes = whole(1, 1024 * TB)
/** Of what goes on at the same time. */
const parallel = whole(1, 1000)
const rateLimit = whole(1, 1_000_000)

const temporalSettings = {
  TEMPORAL_ADDRESS: grpcAddress.default('127.0.0.1:7233'),
  TEMPORAL_NAMESPACE: matching(/^[\w.-]{1,255}$/, 'the name of a namespace').default('default'),
  TEMPORAL_API_KEY: secret.optional(),
  TEMPORAL_TLS: flag.default(false),
}

/** The first day of a backfill, where its command names none. */
const backfillSettings = { RECONCILE_BACKFILL_FROM: z.iso.date().optional() }

const recordingWaitScale = decimal(0.0001, 1).default(1)

const schema = z
  .object({
    /** Production unless somebody asks for development: it refuses settings that protect nothing. */
    NODE_ENV: z.enum(['development', 'test', 'production']).default('production'),
    /** Lets production start on a version of Node that gets no security fixes. */
    ALLOW_OLD_NODE: flag.default(false),
    /** Node's own. */
    NODE_TLS_REJECT_UNAUTHORIZED: z.enum(['0', '1']).optional(),
    LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
    LOG_FILE: text.optional(),
    /** The address to listen on: by default all in production, this machine only elsewhere. */
    HOST: ipAddress.optional(),
    PORT: port.default(3000),
    /** The same for OPERATIONS_PORT. */
    OPERATIONS_HOST: ipAddress.optional(),
    /** Metrics of the API, health and metrics of the worker: not for the public, hence apart. 0: any free port. */
    OPERATIONS_PORT: port.default(9464),
    /** Express' `trust proxy`: a number of hops, or addresses and ranges of proxies. */
    TRUST_PROXY: trustedProxies.default(false),
    /** The page /docs: by default everywhere but in production. */
    SERVE_DOCS: flag.optional(),
    /** How long requests and transfers may go on after SIGTERM. */
    SHUTDOWN_GRACE_SECONDS: whole(1, 3600).default(10),

    /** The application's role. */
    DATABASE_URL: postgresUrl,
    /** The role that owns the tables; `prisma.config.ts` reads it for migrations. */
    MIGRATION_DATABASE_URL: postgresUrl.optional(),
    DATABASE_POOL_SIZE: parallel.default(10),

    ...temporalSettings,

    WASABI_ENDPOINT: httpUrl.optional(),
    WASABI_REGION: matching(/^[a-z0-9-]{1,63}$/, 'the name of a region').default('ap-southeast-1'),
    WASABI_BUCKET: matching(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, 'the name of a bucket'),
    WASABI_ACCESS_KEY: secret,
    WASABI_SECRET_KEY: secret,

    EXOTEL_WEBHOOK_SECRET: secrets.default([]),
    EXOTEL_WEBHOOK_BASIC: matching(/^[^:\p{Cc}]+:\P{Cc}+$/u, 'user:password').optional(),
    EXOTEL_WEBHOOK_TOKEN: text.optional(),
    EXOTEL_WEBHOOK_ADDRESSES: addressRanges.default([]),
    EXOTEL_WEBHOOK_TIMESTAMP: z.enum(['enforce', 'log']).default('enforce'),

    EXOTEL_API_BASE_URL: httpUrl.default('https://api.exotel.com'),
    EXOTEL_ACCOUNT_SID: matching(/^[\w.~-]{1,100}$/, 'the SID of an account'),
    EXOTEL_API_KEY: secret,
    EXOTEL_API_TOKEN: secret,
    EXOTEL_RECORDING_HOSTS: hosts.default(['*.exotel.com', '*.exotel.in']),
    EXOTEL_PUBLIC_RECORDING_HOSTS: hosts.default([]),
    EXOTEL_ALLOW_LOCAL: flag.default(false),

    /** Guards the test routes; without it there are none. */
    DEV_TEST_TOKEN: secret.optional(),

    /** Who may make an account: anybody, the invited, or nobody but an administrator. */
    REGISTRATION: z.enum(['open', 'invite', 'closed']).default('open'),
    /** A session ends after so long, or after so long without a refresh. */
    SESSION_DAYS: days.default(30),
    SESSION_IDLE_DAYS: days.default(7),
    /** Where links in mails lead: the address under which people reach this service. */
    PUBLIC_URL: httpUrl.optional(),
    SMTP_URL: smtpUrl.optional(),
    MAIL_FROM: mailSender.default('caly <no-reply@localhost>'),
    /** Without SMTP_URL mails become files here; production sends none. */
    MAIL_DIRECTORY: text.default('.data/mail'),

    /** Requests a minute and client address. */
    RATE_LIMIT_LOGIN: rateLimit.default(5),
    RATE_LIMIT_REGISTRATION: rateLimit.default(3),
    RATE_LIMIT_FORGOT: rateLimit.default(3),
    RATE_LIMIT_GENERAL: rateLimit.default(300),
    /** Mails about registration a day and client address, and as many with reset links. */
    RATE_LIMIT_MAILS: rateLimit.default(20),
    /** Wrong passwords from one client address for one account before each further one has to wait. */
    RATE_LIMIT_FAILURES: rateLimit.default(5),

    SESSION_CLEANUP_EVERY_MINUTES: intervalMinutes.default(30),
    /** Bodies of webhooks hold numbers and are of no use once their call is concluded. */
    WEBHOOK_BODY_DAYS: days.default(90),

    ...retrySettings,

    /** Shortens every wait of a recording; frozen into a run's input at its start. */
    RECORDING_WAIT_SCALE: recordingWaitScale,
    /** S3 stores no larger object. */
    RECORDING_MAX_BYTES: whole(1, 5 * TB).default(6 * GB),
    /** An answered call at least this long that ends without a recording is `RecordingMissing`, not `not_recorded`. */
    RECORDING_EXPECTED_FROM_SECONDS: seconds.default(10),
    RECOVERY_EVERY_MINUTES: intervalMinutes.default(5),
    /** After the first failure, the second, …; the last one for all that follow. */
    RECOVERY_PAUSES_MINUTES: pauses.default([15, 60, 360, 1440, 4320, 1440]),
    /** From the first failure: as long as Exotel keeps recordings. */
    RECOVERY_FOR_DAYS: days.default(30),
    RECOVERY_PER_PASS: whole(1, 10_000).default(200),
    RECONCILE_EVERY_MINUTES: intervalMinutes.default(60),
    LINK_SWEEP_EVERY_MINUTES: intervalMinutes.default(3),
    ...backfillSettings,
    SPOOL_DIRECTORY: text.default('.data/spool'),
    SPOOL_MAX_BYTES: bytes.default(20 * GB),
    SPOOL_MIN_FREE_BYTES: bytes.default(512 * MB),
    /** How long a spooled file waits for its worker before the recording is downloaded again elsewhere. */
    SPOOL_LOST_AFTER_SECONDS: seconds.default(600),
    /** Names this worker's spool in its task queue; must survive restarts and be unique. The host's name unless set. */
    WORKER_NAME: matching(/^[\w.-]{1,255}$/, 'letters, digits, dots, hyphens and underscores').optional(),
    WORKER_DOWNLOADS: parallel.default(16),
    WORKER_UPLOADS: parallel.default(16),
  })
  .superRefine((settings, context) => {
    if (settings.SMTP_URL && !settings.PUBLIC_URL)
      context.addIssue({ code: 'custom', path: ['PUBLIC_URL'], message: 'is missing: links in mails lead there' })
    for (const name of firstAboveMax(settings))
      context.addIssue({
        code: 'custom',
        path: [`RETRY_${name}_FIRST_SECONDS`],
        message: `must not be longer than RETRY_${name}_MAX_SECONDS`,
      })
    if (settings.NODE_ENV !== 'production') return
    for (const { setting, message } of brokenProductionRules(settings)) context.addIssue({ code: 'custom', path: [setting], message })
  })
  .transform((settings) => ({
    ...settings,
    WASABI_ENDPOINT: settings.WASABI_ENDPOINT ?? `https://s3.${settings.WASABI_REGION}.wasabisys.com`,
    PUBLIC_URL: settings.PUBLIC_URL ?? `http://localhost:${settings.PORT}`,
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
