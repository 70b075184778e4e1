import { createHash } from 'node:crypto'

/** A secret that looks random but is the same in each run. */
export function randomLooking(name: string, length = 24): string {
  return createHash('sha256').update(name).digest('hex').slice(0, length)
}

/**
 * Settings with which a process starts in production. They name no real servers. A test spreads them over a backend's settings, and
 * then adds the addresses of the servers that the process has to reach.
 */
export const PRODUCTION: NodeJS.ProcessEnv = {
  NODE_ENV: 'production',
  ALLOW_OLD_NODE: 'true',
  WASABI_ENDPOINT: 'https://s3.ap-southeast-1.wasabisys.com',
  WASABI_ACCESS_KEY: randomLooking('access'),
  WASABI_SECRET_KEY: randomLooking('wasabi'),
  EXOTEL_WEBHOOK_SECRET: randomLooking('webhook'),
  EXOTEL_API_BASE_URL: 'https://api.exotel.com',
  EXOTEL_ACCOUNT_SID: 'acme',
  EXOTEL_API_KEY: randomLooking('identity'),
  EXOTEL_API_TOKEN: randomLooking('exotel'),
  EXOTEL_RECORDING_HOSTS: '*.exotel.com',
  EXOTEL_ALLOW_LOCAL: 'false',
  RECORDING_WAIT_SCALE: '1',
  REGISTRATION: 'closed',
  RATE_LIMIT_LOGIN: '1000',
  RATE_LIMIT_REGISTRATION: '1000',
  RATE_LIMIT_FORGOT: '1000',
  RATE_LIMIT_GENERAL: '10000',
  RATE_LIMIT_MAILS: '1000',
  RATE_LIMIT_FAILURES: '1000',
}
