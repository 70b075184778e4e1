import { createWriteStream, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { pino, type Logger } from 'pino'
import { logContext } from './log-context.ts'
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
  if (file) mkdirSync(dirname(file), { recursive: true })
  const streams = [
    { level: 'trace' as const, stream: process.stdout },
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
  const file = createWriteStream(path, { flags: 'a' })
  let writable = true
  file.on('error', (error) => {
    writable = false
    console.error(`The log file cannot be written any more: ${error.message}`)
  })
  return { write: (line) => void (writable && file.write(line)) }
}

/** An error's kind, message and stack without what {@link redact} takes out; no other fields, since libraries put requests there. */
function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return redact(String(error))
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  const cause = error.cause === undefined ? undefined : serializeError(error.cause)
  return { type: error.name, message: redact(error.message), code, stack: error.stack && redact(error.stack), cause }
}
