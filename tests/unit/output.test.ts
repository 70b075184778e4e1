import { spawnSync } from 'node:child_process'
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { createLogger } from '../../platform/logger.ts'
import { lineWriter } from '../../platform/output.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'output-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

test('When the file is open, then each line is appended', () => {
  const path = join(folder, 'log')
  const file = openSync(path, 'a')
  const write = lineWriter(file)
  write('first\n')
  write('second\n')
  closeSync(file)
  expect(readFileSync(path, 'utf8')).toBe('first\nsecond\n')
})

test('When the descriptor is closed, then a line is lost and nothing is thrown', () => {
  const file = openSync(join(folder, 'closed'), 'a')
  closeSync(file)
  expect(() => lineWriter(file)('lost\n')).not.toThrow()
})

const withBash = spawnSync('bash', ['-c', 'true']).status === 0 ? test : test.skip

withBash('When stdout reaches its maximum size within a line and has space again later, then later lines are complete', () => {
  const path = join(folder, 'small')
  const from = (file: string): string => new URL(`../../platform/${file}`, import.meta.url).href
  const script = `import { createLogger } from '${from('logger.ts')}'
    import { ignoreOutputErrors } from '${from('output.ts')}'
    import { truncateSync } from 'node:fs'
    import { setTimeout as pause } from 'node:timers/promises'
    process.on('SIGXFSZ', () => {})
    ignoreOutputErrors()
    const logger = createLogger({ level: 'info', file: '', name: 'test' })
    for (let i = 0; i < 30; i += 1) logger.info('a'.repeat(99))
    await pause(1) // errors of a stream are emitted later
    truncateSync(process.argv[2], 150)
    logger.info('whole')`
  const program = join(folder, 'program.mts')
  writeFileSync(program, script)
  const command = 'ulimit -f 2; exec "$0" --import tsx "$1" "$2" >> "$2"'
  const cwd = new URL('../..', import.meta.url)
  const { status, stderr } = spawnSync('bash', ['-c', command, process.execPath, program, path], { encoding: 'utf8', cwd })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(JSON.parse(readFileSync(path, 'utf8').trim().split('\n').at(-1)!)).toMatchObject({ msg: 'whole' })
})

test('When the folder of the log file cannot be created, then the logger works without the file', () => {
  const file = join(folder, 'a file')
  writeFileSync(file, '')
  const logger = createLogger({ level: 'silent', file: join(file, 'app.log'), name: 'test' })
  expect(() => logger.info('a line')).not.toThrow()
  expect(existsSync(join(file, 'app.log'))).toBe(false)
})
