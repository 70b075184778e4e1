// Writes to stdout without a risk for the process. If the disk is full, or the reader or terminal is gone, lines are lost.
import { fstatSync, writeSync } from 'node:fs'
import type { Writable } from 'node:stream'

const STDOUT = 1
/** Limit of lines that wait for a slow reader. Enough for a burst, and small compared with the memory of the process. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024

/** Makes the process ignore errors of stdout and stderr, whatever code writes there. To be called once, when the process starts. */
export function ignoreOutputErrors(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
}

/**
 * Writes log lines to stdout. Node closes the stream of a file permanently at the first failed write, so files are written directly:
 * lines appear again when the disk has free space.
 * @param describeDropped makes the line that says how many lines are missing at this point
 */
export function stdoutLines(describeDropped: (count: number) => string): { write: (line: string) => void } {
  return { write: isFile(STDOUT) ? lineWriter(STDOUT) : boundedWriter(process.stdout, describeDropped) }
}

/**
 * Limits the memory for lines that a stream has not written yet, which Node does not.
 * @returns a function that writes a line. If too many bytes wait, further lines are dropped until all waiting bytes are written; then
 *   the number of dropped lines is written
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

/** @returns a function that writes a line. A line that cannot be written is lost. After a partial line, the next line starts on a new one */
export function lineWriter(descriptor: number): (line: string) => void {
  let isCut = false
  return (line) => {
    try {
      const bytes = Buffer.from(isCut ? `\n${line}` : line)
      const written = writeSync(descriptor, bytes)
      if (written > 0) isCut = written < bytes.length
    } catch {
      // There is no other place to report it.
    }
  }
}

/** True for files and devices. Pipes, sockets and terminals may accept a line only later; only Node's stream can wait for them. */
function isFile(descriptor: number): boolean {
  try {
    const stats = fstatSync(descriptor)
    return stats.isFile() || (stats.isCharacterDevice() && !process.stdout.isTTY)
  } catch {
    return false // the parent process closed it
  }
}
