// Writing to stdout without a risk for the process: a full disk, a reader that is gone or a terminal that was closed costs lines.
import { fstatSync, writeSync } from 'node:fs'

const STDOUT = 1

/** Errors of stdout and stderr end no process any more, whoever writes there. To be called once, at the start of a process. */
export function ignoreOutputErrors(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
}

/**
 * Where the lines of the log go. Node closes the stream of a file for good at the first failed write; written directly, lines appear
 * again once the disk has room.
 */
export function stdoutLines(): { write: (line: string) => void } {
  return isFile(STDOUT) ? { write: lineWriter(STDOUT) } : { write: (line) => void process.stdout.write(line) }
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
