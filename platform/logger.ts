import { createWriteStream, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { pino, type Logger } from 'pino'
import { logContext } from './log-context.ts'
import { stdoutLines } from './output.ts'
import { redact } from './redact.ts'

export type { Logger } from 'pino'

const SECRET_FIELDS = [
  'authorization',
  'cookie',
  'password',
  'token',
  'accessToken',
  'refreshToken',
  'email',
  'secret',
  'signature',
  'secretAccessKey',
  'from',
  'to',
  'CallFrom',
  'CallTo',
  'From',
  'To',
]

/** One JSON line an entry on stdout and, where `file` is not empty, in that file as well. */
export function createLogger({ level, file, name }: { level: string; file: string; name: string }): Logger {
  const streams = [
    { level: 'trace' as const, stream: stdoutLines() },
    ...(file ? [{ level: 'trace' as const, stream: openFile(file) }] : []),
  ]
  return pino(
    {
      name,
      level,
      timestamp: pino.stdTimeFunctions.isoTime,
      mixin: logContext,
      redact: { paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]), censor: '[secret]' },
      serializers: { error: serializeError, err: serializeError },
    },
    pino.multistream(streams),
  )
}

/** A disk that is full or read-only costs us the file's lines, not the process: stdout has them all. */
function openFile(path: string): pino.DestinationStream {
  let isWritable = true
  const giveUp = (error: unknown): void => {
    isWritable = false
    console.error(`The log file cannot be written: ${(error as Error).message}`)
  }
  try {
    mkdirSync(dirname(path), { recursive: true })
  } catch (error) {
    giveUp(error)
  }
  if (!isWritable) return { write: () => {} }
  const file = createWriteStream(path, { flags: 'a' }).on('error', giveUp)
  return { write: (line) => void (isWritable && file.write(line)) }
}

/** An error's kind, message and stack without what {@link redact} takes out; no other fields, since libraries put requests there. */
function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return redact(String(error))
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  const cause = error.cause === undefined ? undefined : serializeError(error.cause)
  return { type: error.name, message: redact(error.message), code, stack: error.stack && redact(error.stack), cause }
}
