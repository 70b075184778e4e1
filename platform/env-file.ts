import { existsSync } from 'node:fs'

const FILE = '.env'

/** `.env` exists but cannot be read. */
export class EnvFileUnreadable extends Error {
  constructor(code: string) {
    super(`The file ${FILE} in the working directory cannot be read: ${code}.`)
  }
}

/**
 * Reads `.env` in the working directory, if it exists. Variables that are already set keep their values.
 * The development stack and the tests set NO_ENV_FILE for all processes that they start, so that none connects to a real database.
 * `prisma.config.ts` repeats this code because the image contains it without this file.
 * @throws {EnvFileUnreadable}
 */
export function loadEnvFile(): void {
  if (process.env.NO_ENV_FILE || !existsSync(FILE)) return
  try {
    process.loadEnvFile(FILE)
  } catch (error) {
    throw new EnvFileUnreadable((error as NodeJS.ErrnoException).code ?? 'unknown')
  }
}
