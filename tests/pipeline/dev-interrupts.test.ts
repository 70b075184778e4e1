// Ctrl-C while another command starts or resets the development stack. Only the command that holds the lock changes `.data/`.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { tryTake } from '../../dev/lock.mjs'
import { eventually } from '../support/eventually.ts'
import { copyProject, type ProjectCopy } from '../support/project-copy.ts'

const TIMEOUT_MS = 120_000

let copy: ProjectCopy
let release: (() => void) | undefined
beforeEach(() => {
  copy = copyProject()
})
afterEach(async () => {
  release?.()
  await copy.remove()
})

/** Takes the lock as a command does that starts or resets the stack. */
function takeLock(): void {
  release = tryTake(join(copy.folder, '.starting'), 'lock')
  expect(release).toBeDefined()
}

test(
  'When Ctrl-C is pressed while another command holds the lock, then the stack runs until the lock is free',
  async () => {
    const { child, output, ended } = copy.dev()
    await eventually('the stack to be ready', async () => output().includes('The stack keeps running'), TIMEOUT_MS)
    takeLock()
    child.kill('SIGINT')
    await eventually('it to wait', async () => output().includes('waiting for another command'))
    expect({ announced: existsSync(join(copy.folder, '.data', 'dev.json')), exitCode: child.exitCode }).toEqual({
      announced: true,
      exitCode: null,
    })
    release!()
    expect({ code: await ended, output: output() }).toMatchObject({ code: 130, output: expect.stringContaining('Everything has stopped') })
    await copy.noneLeft()
  },
  TIMEOUT_MS,
)

test(
  'When Ctrl-C is pressed during a start, then a reset waits until the start has ended',
  async () => {
    const place = join(copy.folder, 'prisma', 'migrations', '9999_slow')
    mkdirSync(place)
    writeFileSync(join(place, 'migration.sql'), 'SELECT pg_sleep(4);\n')
    const { child, output, ended } = copy.dev()
    await eventually('PostgreSQL to be ready', async () => output().includes('PostgreSQL is ready'), TIMEOUT_MS)
    child.kill('SIGINT')
    const reset = copy.dev(['reset'])
    await eventually('the reset to wait', async () => reset.output().includes('waiting for another command'))
    expect({ code: await ended, output: output() }).toMatchObject({ code: 130, output: expect.stringContaining('Everything has stopped') })
    expect({ code: await reset.ended, output: reset.output() }).toMatchObject({ code: 0 })
  },
  TIMEOUT_MS,
)

test(
  'When Ctrl-C is pressed while a start waits for the lock, then the command ends without having started anything',
  async () => {
    takeLock()
    const { child, output, ended } = copy.dev()
    await eventually('it to wait', async () => output().includes('waiting for another command'))
    child.kill('SIGINT')
    expect(await ended).toBe(130)
    expect(existsSync(join(copy.folder, '.data', 'logs'))).toBe(false)
    await copy.noneLeft()
  },
  TIMEOUT_MS,
)
