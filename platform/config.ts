// All settings of the API and the worker: one schema, read once when a process starts. `.env.example` explains each setting.
import { z } from 'zod'
import { brokenProductionRules, type ProductionSettings } from './production-rules.ts'
import { firstAboveMax, retrySettings, type RetrySettings } from './retry-settings.ts'
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
/** Interval of a schedule, at most a year. */
const intervalMinutes = decimal(0.01, 527_040)
const seconds = whole(1, 86_400)
const bytes = whole(1, 1024 * TB)
/** A limit on concurrency. */
const parallel = whole(1, 1000)
const rateLimit = whole(1, 1_000_000)

const temporalSettings = {
  TEMPORAL_ADDRESS: grpcAddress.default('127.0.0.1:7233'),
  TEMPORAL_NAMESPACE: matching(/^[\w.-]{1,255}$/, 'the name of a namespace').default('default'),
  TEMPORAL_API_KEY: secret.optional(),
  TEMPORAL_TLS: flag.default(false),
}

/** The first day of a backfill if its command has no `--from`. */
const backfillSettings = { RECONCILE_BACKFILL_FROM: z.iso.date().optional() }

const recordingWaitScale = decimal(0.0001, 1).default(1)

const schema = z
  .object({
    /** `production` is the default because it rejects unsafe settings. */
    NODE_ENV: z.enum(['development', 'test', 'production']).default('production'),
    /** Lets production start on a version of Node that no longer gets security fixes. */
    ALLOW_OLD_NODE: flag.default(false),
    /** A setting of Node itself. */
    NODE_TLS_REJECT_UNAUTHORIZED: z.enum(['0', '1']).optional(),
    LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
    LOG_FILE: text.optional(),
    /** The address to listen on. Default: all addresses in production, otherwise the loopback address. */
    HOST: ipAddress.optional(),
    PORT: port.default(3000),
    /** The same for OPERATIONS_PORT. */
    OPERATIONS_HOST: ipAddress.optional(),
    /** A separate port for metrics of the API, and health and metrics of the worker, which must not be public. 0: any free port. */
    OPERATIONS_PORT: port.default(9464),
    /** Express' `trust proxy`: a number of hops, or addresses and ranges of proxies. */
    TRUST_PROXY: trustedProxies.default(false),
    /** Whether to serve the page /docs. Default: true except in production. */
    SERVE_DOCS: flag.optional(),
    /** How long requests and transfers may continue after SIGTERM. */
    SHUTDOWN_GRACE_SECONDS: whole(1, 3600).default(10),

    /** The application's role. */
    DATABASE_URL: postgresUrl,
    /** The role that owns the tables; `prisma.config.ts` reads it for migrations. */
    MIGRATION_DATABASE_URL: postgresUrl.optional(),
    DATABASE_POOL_SIZE: parallel.default(10),

    ...temporalSettings,
    /** Base URL of Temporal's Web UI, for links to workflows. */
    TEMPORAL_UI_URL: httpUrl.optional(),

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
    /** How long Exotel keeps a recording after its call. Only shown to people. */
    EXOTEL_RETENTION_DAYS: days.default(30),

    /** Bearer token of the test routes. If it is not set, there are no test routes. */
    DEV_TEST_TOKEN: secret.optional(),

    /** Who may create an account: anybody, invited people, or only an administrator. */
    REGISTRATION: z.enum(['open', 'invite', 'closed']).default('open'),
    /** A session ends after SESSION_DAYS, or after SESSION_IDLE_DAYS without a refresh. */
    SESSION_DAYS: days.default(30),
    SESSION_IDLE_DAYS: days.default(7),
    /** The address of this service for users; links in mails start with it. */
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
    /** Per client address and day: mails about registration. The same limit applies separately to mails with reset links. */
    RATE_LIMIT_MAILS: rateLimit.default(20),
    /** Wrong passwords from one client address for one account before further attempts have to wait. */
    RATE_LIMIT_FAILURES: rateLimit.default(5),

    SESSION_CLEANUP_EVERY_MINUTES: intervalMinutes.default(30),
    /** Bodies of webhooks contain phone numbers and are not needed after their call is concluded. */
    WEBHOOK_BODY_DAYS: days.default(90),

    ...retrySettings,

    /** Factor for every wait of a recording. Written into the workflow input when a run starts. */
    RECORDING_WAIT_SCALE: recordingWaitScale,
    /** S3 stores objects of at most 5 TB. */
    RECORDING_MAX_BYTES: whole(1, 5 * TB).default(6 * GB),
    /** The largest recording that one local activity transfers. 0: every step of every recording is an activity. */
    RECORDING_FAST_PATH_MAX_BYTES: whole(0, 64 * MB).default(8 * MB),
    /** An answered call of at least this length without a recording fails as `RecordingMissing` instead of being `not_recorded`. */
    RECORDING_EXPECTED_FROM_SECONDS: seconds.default(10),
    RECOVERY_EVERY_MINUTES: intervalMinutes.default(5),
    /** Pause after the first failure, after the second, and so on. The last value applies to all further failures. */
    RECOVERY_PAUSES_MINUTES: pauses.default([15, 60, 360, 1440, 4320, 1440]),
    /** Counted from the first failure. Exotel keeps recordings for about this time. */
    RECOVERY_FOR_DAYS: days.default(30),
    RECOVERY_PER_PASS: whole(1, 10_000).default(200),
    RECONCILE_EVERY_MINUTES: intervalMinutes.default(60),
    LINK_SWEEP_EVERY_MINUTES: intervalMinutes.default(3),
    PEAKS_EVERY_MINUTES: intervalMinutes.default(30),
    ...backfillSettings,
    SPOOL_DIRECTORY: text.default('.data/spool'),
    SPOOL_MAX_BYTES: bytes.default(20 * GB),
    SPOOL_MIN_FREE_BYTES: bytes.default(512 * MB),
    /** After this time without a worker that starts the task, the workflow asks the worker whether it has the file. */
    SPOOL_LOST_AFTER_SECONDS: seconds.default(600),
    /** Part of the name of this worker's task queues. Must be unique and the same after a restart. Default: the host name. */
    WORKER_NAME: matching(/^[\w.-]{1,255}$/, 'letters, digits, dots, hyphens and underscores').optional(),
    WORKER_DOWNLOADS: parallel.default(16),
    WORKER_UPLOADS: parallel.default(16),
  })
  .superRefine((settings, context) => {
    for (const { setting, message } of [...contradictionsIn(settings), ...refusalsOf(settings)])
      context.addIssue({ code: 'custom', path: [setting], message })
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

/** `unreadable`: missing or wrong. The other kinds are valid settings: `contradiction` with another one, `insecure` in production. */
export interface SettingProblem {
  kind: 'unreadable' | 'contradiction' | 'insecure'
  setting: string
  /** Continues a sentence that starts with the name of the setting. Never contains its value. */
  message: string
}

/** The message names the wrong settings, never their values. */
export class BadConfiguration extends Error {
  constructor(problems: string[]) {
    super(`The configuration is invalid. ${problems.join('. ')}. See .env.example.`)
  }
}

/**
 * Reads and validates all settings. An empty variable counts as unset.
 * @throws {BadConfiguration} naming every setting that is missing or wrong
 */
export function readConfig(env: NodeJS.ProcessEnv = process.env): Config {
  return read(schema, env)
}

/**
 * For `npm run doctor`: reads every setting that can be read, and returns all problems because of which {@link readConfig} throws.
 * Contradictions and insecure settings are only looked for if each setting can be read.
 * @returns `config` lacks the unreadable settings, and what is derived from them has no meaning
 */
export function inspectSettings(env: NodeJS.ProcessEnv = process.env): { config: Config; problems: SettingProblem[] } {
  const given = filledIn(env)
  const values: Record<string, unknown> = {}
  const unreadable: SettingProblem[] = []
  for (const [setting, type] of Object.entries(schema.in.shape)) {
    const { success, data, error } = type.safeParse(given[setting], { reportInput: true })
    if (success) values[setting] = data
    else unreadable.push({ kind: 'unreadable', setting, message: describeIssue(error.issues[0]!) })
  }
  const settings = values as z.output<typeof schema.in>
  const others = unreadable.length > 0 ? [] : [...contradictionsIn(settings), ...refusalsOf(settings)]
  return { config: schema.out.parse(settings), problems: [...unreadable, ...others] }
}

export type TemporalSettings = Pick<Config, keyof typeof temporalSettings>

/** Reads only the settings for the connection to Temporal. */
export function readTemporalSettings(env: NodeJS.ProcessEnv = process.env): TemporalSettings {
  return read(z.object(temporalSettings), env)
}

/** Reads the settings of `npm run backfill`. */
export function readBackfillSettings(env: NodeJS.ProcessEnv = process.env) {
  return read(z.object({ ...temporalSettings, ...backfillSettings, RECORDING_WAIT_SCALE: recordingWaitScale }), env)
}

function read<Schema extends z.ZodType>(settings: Schema, env: NodeJS.ProcessEnv): z.infer<Schema> {
  const result = settings.safeParse(filledIn(env), { reportInput: true }) // describeIssue needs the input to distinguish missing from wrong settings
  if (result.success) return result.data
  throw new BadConfiguration(result.error.issues.map((issue) => `${issue.path.join('.')} ${describeIssue(issue)}`))
}

/** Without empty variables, which count as unset. */
function filledIn(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => value?.trim()))
}

type MailSettings = Pick<ProductionSettings, 'SMTP_URL' | 'PUBLIC_URL'>

function contradictionsIn(settings: RetrySettings & MailSettings): SettingProblem[] {
  const lacksUrl = settings.SMTP_URL && !settings.PUBLIC_URL
  return [
    ...(lacksUrl ? [{ kind: 'contradiction' as const, setting: 'PUBLIC_URL', message: 'is missing: links in mails start with it' }] : []),
    ...firstAboveMax(settings).map((name) => ({
      kind: 'contradiction' as const,
      setting: `RETRY_${name}_FIRST_SECONDS`,
      message: `must not be longer than RETRY_${name}_MAX_SECONDS`,
    })),
  ]
}

function refusalsOf(settings: ProductionSettings & { NODE_ENV: string }): SettingProblem[] {
  if (settings.NODE_ENV !== 'production') return []
  return brokenProductionRules(settings).map(({ setting, message }) => ({ kind: 'insecure', setting, message }))
}

function describeIssue(issue: z.core.$ZodIssue): string {
  return issue.code === 'invalid_type' && issue.input === undefined ? 'is missing' : issue.message.replace(/^Invalid input: /, 'is wrong: ')
}

function defaultHost(environment: string): string {
  return environment === 'production' ? '::' : '127.0.0.1'
}
