// Files of a supervisor in the folder of a stack that other supervisors use as well.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { Supervisor, type Program } from '../../dev/supervisor.ts'

let home: string
let keepers: Supervisor[]
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'supervisor-'))
  keepers = []
})
afterEach(async () => {
  for (const supervisor of keepers) await supervisor.stop()
  rmSync(home, { recursive: true })
})

function newKeeper(): Supervisor {
  const supervisor = new Supervisor(home)
  keepers.push(supervisor)
  return supervisor
}

const program = (name: string): Program => ({ name, file: 'sleep', args: ['60'], stopSignal: 'SIGTERM' })

test('When the folder for logs is removed before the first start, then the process starts and has its log', () => {
  const supervisor = newKeeper()
  rmSync(join(home, 'logs'), { recursive: true, force: true })
  supervisor.start(program('first'))
  expect(existsSync(supervisor.logOf('first'))).toBe(true)
})

test('When another supervisor has replaced the pid file, then the first supervisor does not remove it when it stops', async () => {
  const [first, second] = [newKeeper(), newKeeper()]
  first.start(program('first'))
  second.start(program('second'))
  const pids = (): string => readFileSync(join(home, 'pids.json'), 'utf8')
  const before = pids()
  await first.stop()
  expect(pids()).toBe(before)
  await second.stop()
  expect(existsSync(join(home, 'pids.json'))).toBe(false)
})
