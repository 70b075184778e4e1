import { existsSync } from 'node:fs'

const FILE = '.env'

/** `.env` is there, but cannot be read. */
export class EnvFileUnreadable extends Error {
  constructor(code: string) {
    super(`The file ${FILE} in the working directory cannot be read: ${code}.`)
  }
}

/**
 * Reads `.env` of the working directory, if it is there. Variables that the environment has already stay as they are.
 * The development stack and the tests set NO_ENV_FILE for all processes that they start, so that none reaches a real database.
 * `prisma.config.ts` does the same: the image contains that file without this one.
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
