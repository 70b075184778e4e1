// If a reader of the log stalls, lines are dropped, so that the memory of the process stays bounded.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { eventually } from '../support/eventually.ts'

const LINES = 20_000
/** Maximum of waiting lines of 1 kB each. */
const MOST_WAITING_LINES = 6000

let folder: string
let child: ChildProcess | undefined
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'slow-reader-'))
})
afterEach(() => {
  child?.kill('SIGKILL')
  rmSync(folder, { recursive: true })
})

/** Writes all lines, then "written" to stderr, and a last line when stdin ends. */
function startLogging(file: string): ChildProcess {
  const from = (name: string): string => new URL(`../../platform/${name}`, import.meta.url).href
  const program = join(folder, 'program.mts')
  writeFileSync(
    program,
    `import { once } from 'node:events'
    import { createLogger } from '${from('logger.ts')}'
    const logger = createLogger({ level: 'info', file: process.argv[2], name: 'test' })
    for (let i = 0; i < ${LINES}; i += 1) {
      logger.info('a'.repeat(1000))
      if (i % 100 === 0) await new Promise(setImmediate)
    }
    console.error('written')
    await once(process.stdin.resume(), 'end')
    logger.info('the last')`,
  )
  const cwd = new URL('../..', import.meta.url)
  child = spawn(process.execPath, ['--import', 'tsx', program, file], { cwd, stdio: ['pipe', 'pipe', 'pipe'] })
  return child
}

/** Reads all lines. Ends stdin, so that the last line is written, after the number of dropped lines has been read. */
async function readAll(stream: Readable, stdin: Writable): Promise<string> {
  let read = ''
  stream.on('data', (bytes: Buffer) => (read += bytes.toString()))
  const ended = once(stream, 'end')
  await eventually('the number of dropped lines', async () => read.includes('dropped'))
  stdin.end()
  await ended
  return read
}

/** Checks that each line was either read or counted as dropped. */
function expectBounded(read: string): void {
  const entries = read
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { msg: string; count?: number; level: number; name: string })
  const notices = entries.filter(({ count }) => count !== undefined)
  expect(notices).toEqual([
    expect.objectContaining({ name: 'test', level: 40, msg: 'Log lines were dropped because their reader was too slow' }),
  ])
  expect(entries.at(-1)).toMatchObject({ msg: 'the last' })
  const whole = entries.length - notices.length
  expect(whole).toBeLessThan(MOST_WAITING_LINES)
  expect(whole + notices[0]!.count!).toBe(LINES + 1)
}

test('When the reader of stdout stalls, then lines are dropped and counted, and later lines appear', async () => {
  const { stdin, stdout, stderr } = startLogging('')
  await once(stderr!, 'data')
  expectBounded(await readAll(stdout!, stdin!))
})

const withFifo = spawnSync('mkfifo', ['--version']).status === 0 ? test : test.skip

withFifo('When the reader of the log file stalls, then lines are dropped and counted as well', async () => {
  const fifo = join(folder, 'log')
  spawnSync('mkfifo', [fifo])
  const { stdin, stdout, stderr } = startLogging(fifo)
  stdout!.resume()
  const reader = createReadStream(fifo)
  await once(stderr!, 'data')
  expectBounded(await readAll(reader, stdin!))
})
