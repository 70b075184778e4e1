/** Values for all settings without a default, for development. */
export const MINIMAL: NodeJS.ProcessEnv = {
  NODE_ENV: 'development',
  DATABASE_URL: 'postgresql://localhost/caly',
  WASABI_BUCKET: 'recordings',
  WASABI_ACCESS_KEY: 'key',
  WASABI_SECRET_KEY: 'secret',
  EXOTEL_ACCOUNT_SID: 'sid',
  EXOTEL_API_KEY: 'key',
  EXOTEL_API_TOKEN: 'token',
}

/** The same, plus values for optional settings. */
export const EVERY_SETTING: NodeJS.ProcessEnv = {
  ...MINIMAL,
  NODE_TLS_REJECT_UNAUTHORIZED: '1',
  MIGRATION_DATABASE_URL: 'postgresql://localhost/caly',
  SMTP_URL: 'smtp://localhost',
  PUBLIC_URL: 'https://calls.example.com',
  DEV_TEST_TOKEN: 'token',
  RECONCILE_BACKFILL_FROM: '2026-06-01',
  TEMPORAL_API_KEY: 'k',
  TEMPORAL_UI_URL: 'https://temporal.example.com',
  EXOTEL_WEBHOOK_BASIC: 'u:p',
  EXOTEL_WEBHOOK_TOKEN: 't',
  WORKER_NAME: 'w',
}
