// Keys and secrets of a development stack. They are generated once and stored in its folder, so that a restarted stack can use its data.
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Secrets {
  webhookSecret: string
  accountSid: string
  apiKey: string
  apiToken: string
  s3AccessKeyId: string
  s3SecretAccessKey: string
  devTestToken: string
}

export function loadSecrets(home: string): Secrets {
  const path = join(home, 'secrets.json')
  if (existsSync(path)) return JSON.parse(readFileSync(path, 'utf8')) as Secrets
  const random = (bytes: number): string => randomBytes(bytes).toString('hex')
  const secrets: Secrets = {
    webhookSecret: random(24),
    accountSid: 'caly',
    apiKey: random(12),
    apiToken: random(20),
    s3AccessKeyId: random(10),
    s3SecretAccessKey: random(20),
    devTestToken: random(24),
  }
  writeFileSync(path, JSON.stringify(secrets, null, 2), { mode: 0o600 })
  return secrets
}
