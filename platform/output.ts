// Writing to stdout without a risk for the process: a full disk, a reader that is gone or a terminal that was closed costs lines.
import { fstatSync, writeSync } from 'node:fs'
import type { Writable } from 'node:stream'

const STDOUT = 1
/** Of lines that wait for a slow reader: enough for a burst, and little for the process. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024

/** Errors of stdout and stderr end no process any more, whoever writes there. To be called once, at the start of a process. */
export function ignoreOutputErrors(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
}

/**
 * Where the lines of the log go. Node closes the stream of a file for good at the first failed write; written directly, lines appear
 * again once the disk has room.
 * @param describeDropped the line that says how many lines are missing where it stands
 */
export function stdoutLines(describeDropped: (count: number) => string): { write: (line: string) => void } {
  return { write: isFile(STDOUT) ? lineWriter(STDOUT) : boundedWriter(process.stdout, describeDropped) }
}

/**
 * Node keeps what a stream cannot take yet in memory, without a bound.
 * @returns writes a line. Once too many bytes wait, lines are dropped until all of them are taken, and then their number is written
 */
export function boundedWriter(stream: Writable, describeDropped: (count: number) => string): (line: string) => void {
  let dropped = 0
  stream.on('drain', () => {
    if (dropped === 0) return
    stream.write(describeDropped(dropped))
    dropped = 0
  })
  return (line) => {
    const isFull = dropped > 0 || stream.writableLength > MAX_WAITING_BYTES
    if (isFull) dropped += 1
    else stream.write(line)
  }
}

/** @returns writes a line; one that cannot be written is lost, and never continues on the line of the next one */
export function lineWriter(descriptor: number): (line: string) => void {
  let isCut = false
  return (line) => {
    try {
      const bytes = Buffer.from(isCut ? `\n${line}` : line)
      const written = writeSync(descriptor, bytes)
      if (written > 0) isCut = written < bytes.length
    } catch {
      // There is no other place to say so.
    }
  }
}

/** Or a device. Pipes, sockets and terminals may take a line later, which only Node's stream can wait for. */
function isFile(descriptor: number): boolean {
  try {
    const stats = fstatSync(descriptor)
    return stats.isFile() || (stats.isCharacterDevice() && !process.stdout.isTTY)
  } catch {
    return false // closed by whoever started us
  }
}
