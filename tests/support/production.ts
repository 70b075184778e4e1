/**
 * Settings with which production starts, and which reach nobody. Spread over a backend's own settings, they let a process of
 * a test run as production; what it really has to reach comes behind them.
 */
export const PRODUCTION: NodeJS.ProcessEnv = {
  NODE_ENV: 'production',
  ALLOW_OLD_NODE: 'true',
  WASABI_ENDPOINT: 'https://s3.ap-southeast-1.wasabisys.com',
  WASABI_ACCESS_KEY: 'access-for-tests-1',
  WASABI_SECRET_KEY: 'wasabi-for-tests-1',
  EXOTEL_WEBHOOK_SECRET: 'webhooks-for-tests-1',
  EXOTEL_API_BASE_URL: 'https://api.exotel.com',
  EXOTEL_ACCOUNT_SID: 'acme',
  EXOTEL_API_KEY: 'identity-for-tests-1',
  EXOTEL_API_TOKEN: 'exotel-for-tests-1',
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
