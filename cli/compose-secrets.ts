// The generated secrets of docker-compose.yml's servers, and files with them that a shell reads before it starts a service.
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'

export interface ComposeSecrets {
  superuserPassword: string
  ownerPassword: string
  applicationPassword: string
  s3AccessKey: string
  s3SecretKey: string
}

/** Returns the same secrets at every start, so that the servers can use their data. */
export function loadComposeSecrets(path: string): ComposeSecrets {
  if (!existsSync(path)) {
    const random = (bytes: number): string => randomBytes(bytes).toString('hex')
    const secrets: ComposeSecrets = {
      superuserPassword: random(24),
      ownerPassword: random(24),
      applicationPassword: random(24),
      s3AccessKey: random(10),
      s3SecretKey: random(20),
    }
    writeFileSync(path, JSON.stringify(secrets), { mode: 0o600, flush: true })
  }
  return JSON.parse(readFileSync(path, 'utf8')) as ComposeSecrets
}

/**
 * The content of a file for `. FILE` in a shell. It exports each variable that is unset or empty.
 * @param values must not contain characters that a shell interprets, except references to variables
 */
export function shellDefaults(values: Record<string, string>): string {
  return Object.entries(values)
    .map(([name, value]) => `: "\${${name}:=${value}}"; export ${name}\n`)
    .join('')
}
