import { createWriteStream, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { pino, type Logger } from 'pino'
import { logContext } from './log-context.ts'
import { boundedWriter, stdoutLines } from './output.ts'
import { redact } from './redact.ts'

export type { Logger } from 'pino'

const WARN = pino.levels.values.warn

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
  const describeDropped = (count: number): string => droppedLines(name, count)
  const streams = [
    { level: 'trace' as const, stream: stdoutLines(describeDropped) },
    ...(file ? [{ level: 'trace' as const, stream: openFile(file, describeDropped) }] : []),
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
function openFile(path: string, describeDropped: (count: number) => string): pino.DestinationStream {
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
  const write = boundedWriter(file, describeDropped)
  return { write: (line) => void (isWritable && write(line)) }
}

/** Written past pino, which would drop it as well. */
function droppedLines(name: string, count: number): string {
  const entry = { level: WARN, time: new Date().toISOString(), name, count, msg: 'Log lines were dropped: their reader was too slow' }
  return `${JSON.stringify(entry)}\n`
}

/** An error's kind, message and stack without what {@link redact} takes out; no other fields, since libraries put requests there. */
function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return redact(String(error))
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  const cause = error.cause === undefined ? undefined : serializeError(error.cause)
  return { type: error.name, message: redact(error.message), code, stack: error.stack && redact(error.stack), cause }
}
