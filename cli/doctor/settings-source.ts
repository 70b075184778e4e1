// Where the settings come from: the environment and .env, as for API and worker, or the development stack.
import { existsSync, readFileSync } from 'node:fs'
import { loadEnvFile } from '../../platform/env-file.ts'

export interface SettingsSource {
  env: NodeJS.ProcessEnv
  /** For people. */
  name: string
}

/** The fields of the development stack's description that the settings need. */
interface DevStack {
  pid: number
  applicationDatabaseUrl: string
  databaseUrl: string
  temporalAddress: string
  temporalNamespace: string
  s3: { endpoint: string; region: string; bucket: string; accessKeyId: string; secretAccessKey: string }
  exotel: { webhookSecret: string; accountSid: string; apiKey: string; apiToken: string; apiBaseUrl: string }
  simulatorUrl?: string
  spoolDirectory: string
}

const DEV_STACK = '.data/dev.json'
/** Settings without a default. If one of them is set, the development stack is not used. */
const REQUIRED = [
  'DATABASE_URL',
  'WASABI_BUCKET',
  'WASABI_ACCESS_KEY',
  'WASABI_SECRET_KEY',
  'EXOTEL_ACCOUNT_SID',
  'EXOTEL_API_KEY',
  'EXOTEL_API_TOKEN',
]

/**
 * Reads `.env` as API and worker do. If no setting without a default is given, neither is NODE_ENV=production, and the development stack
 * of the working directory runs, then the settings are those of its processes.
 * @throws {EnvFileUnreadable}
 */
export function findSettings(): SettingsSource {
  loadEnvFile()
  const isGiven = process.env.NODE_ENV === 'production' || REQUIRED.some((name) => process.env[name]?.trim())
  const stack = isGiven ? undefined : readRunningStack()
  if (stack) return { env: { ...process.env, ...settingsOf(stack) }, name: `the development stack (${DEV_STACK})` }
  return { env: process.env, name: 'the environment and .env' }
}

function readRunningStack(): DevStack | undefined {
  if (!existsSync(DEV_STACK)) return undefined
  const stack = JSON.parse(readFileSync(DEV_STACK, 'utf8')) as DevStack
  return isRunning(stack.pid) ? stack : undefined
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false // a stack that was killed leaves its description
  }
}

/** As dev/services.ts starts API and worker. */
function settingsOf(stack: DevStack): NodeJS.ProcessEnv {
  const { s3, exotel } = stack
  return {
    NODE_ENV: 'development',
    DATABASE_URL: stack.applicationDatabaseUrl,
    MIGRATION_DATABASE_URL: stack.databaseUrl,
    TEMPORAL_ADDRESS: stack.temporalAddress,
    TEMPORAL_NAMESPACE: stack.temporalNamespace,
    WASABI_ENDPOINT: s3.endpoint,
    WASABI_REGION: s3.region,
    WASABI_BUCKET: s3.bucket,
    WASABI_ACCESS_KEY: s3.accessKeyId,
    WASABI_SECRET_KEY: s3.secretAccessKey,
    EXOTEL_WEBHOOK_SECRET: exotel.webhookSecret,
    EXOTEL_WEBHOOK_BASIC: `exotel:${exotel.webhookSecret}`,
    EXOTEL_ACCOUNT_SID: exotel.accountSid,
    EXOTEL_API_KEY: exotel.apiKey,
    EXOTEL_API_TOKEN: exotel.apiToken,
    EXOTEL_API_BASE_URL: exotel.apiBaseUrl,
    ...(stack.simulatorUrl && { EXOTEL_ALLOW_LOCAL: 'true', EXOTEL_RECORDING_HOSTS: '127.0.0.1' }),
    SPOOL_DIRECTORY: stack.spoolDirectory,
  }
}
