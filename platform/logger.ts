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

/** Writes each entry as one JSON line to stdout and, if `file` is not empty, also to that file. */
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

/** If the disk is full or read-only, the file lacks lines, but the process continues. stdout has all lines. */
function openFile(path: string, describeDropped: (count: number) => string): pino.DestinationStream {
  let isWritable = true
  const stopWriting = (error: unknown): void => {
    isWritable = false
    console.error(`The log file cannot be written, logging to stdout only: ${(error as Error).message}`)
  }
  try {
    mkdirSync(dirname(path), { recursive: true })
  } catch (error) {
    stopWriting(error)
  }
  if (!isWritable) return { write: () => {} }
  const file = createWriteStream(path, { flags: 'a' }).on('error', stopWriting)
  const write = boundedWriter(file, describeDropped)
  return { write: (line) => void (isWritable && write(line)) }
}

/** Formatted here because pino would drop this line as well. */
function droppedLines(name: string, count: number): string {
  const entry = {
    level: WARN,
    time: new Date().toISOString(),
    name,
    count,
    msg: 'Log lines were dropped because their reader was too slow',
  }
  return `${JSON.stringify(entry)}\n`
}

/** Logs the type, message, code, stack and cause of an error, redacted. Other fields are omitted: libraries store requests in them. */
function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return redact(String(error))
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  const cause = error.cause === undefined ? undefined : serializeError(error.cause)
  return { type: error.name, message: redact(error.message), code, stack: error.stack && redact(error.stack), cause }
}
