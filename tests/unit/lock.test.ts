// Locks of the development commands: one owner at a time, also if owners are killed.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { othersOf, register, tryTake, withLock } from '../../dev/lock.mjs'
import { freePort } from '../../dev/ports.ts'
import { startOf } from '../../dev/process-start.mjs'
import { findRunning } from '../../dev/running-stack.ts'
import { eventually } from '../support/eventually.ts'

const LOCK = new URL('../../dev/lock.mjs', import.meta.url).href
const PORTS = new URL('../../dev/ports.ts', import.meta.url).href
const root = new URL('../..', import.meta.url)

let folder: string
let lock: string
let children: ChildProcess[]
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lock-'))
  lock = join(folder, 'lock')
  children = []
})
afterEach(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, { recursive: true })
})

function run(script: string): ChildProcess {
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
    cwd: root,
    stdio: 'pipe',
  })
  children.push(child)
  return child
}

test('When many processes wait for a lock whose owner was killed, then each gets it, one at a time', async () => {
  const log = join(folder, 'log')
  writeFileSync(log, '')
  const owner = run(
    `import { withLock } from '${LOCK}'; await withLock('${lock}', () => new Promise((resolve) => setTimeout(resolve, 1e9)))`,
  )
  await eventually('the lock to be taken', async () => existsSync(lock) && readdirSync(lock).length > 0)
  const turns = `import { withLock } from '${LOCK}'
    import { appendFileSync } from 'node:fs'
    for (let i = 0; i < 3; i += 1) await withLock('${lock}', async () => {
      appendFileSync('${log}', 'in\\n')
      await new Promise((resolve) => setTimeout(resolve, 5))
      appendFileSync('${log}', 'out\\n')
    })`
  const others = Array.from({ length: 5 }, () => run(turns))
  const ends = others.map((child) => once(child, 'exit'))
  await Promise.all(others.map(({ stderr }) => once(stderr!, 'data'))) // each reports that it waits
  expect(readFileSync(log, 'utf8')).toBe('')
  owner.kill('SIGKILL')
  for (const [code] of await Promise.all(ends)) expect(code).toBe(0)
  expect(readFileSync(log, 'utf8')).toBe('in\nout\n'.repeat(15))
  expect(readdirSync(lock)).toEqual([])
})

test('When two processes try at the same moment, then at most one gets the lock', () => {
  mkdirSync(lock)
  writeFileSync(join(lock, `lock.${process.ppid}.${startOf(process.ppid)}`), '') // has just created its file
  expect(tryTake(lock, 'lock')).toBeUndefined()
  expect(othersOf(lock, 'lock')).toEqual([process.ppid])
  expect(tryTake(lock, 'another name')).toBeInstanceOf(Function)
})

test('When an owner has ended, or its pid belongs to a process with another start time, then its file is removed', async () => {
  const { pid } = spawnSync('true')
  mkdirSync(lock)
  for (const owner of [`${pid}.1`, `${process.pid}.1`, `${process.ppid}.1`]) writeFileSync(join(lock, `lock.${owner}`), '')
  await withLock(lock, async () => expect(readdirSync(lock)).toEqual([`lock.${process.pid}.${startOf(process.pid)}`]))
  expect(readdirSync(lock)).toEqual([])
})

test('When this process already has the lock, then it does not get it again', () => {
  const release = tryTake(lock, 'lock')!
  expect(tryTake(lock, 'lock')).toBeUndefined()
  release()
  expect(register(lock, 'lock')).toBeInstanceOf(Function)
})

test('When a process is a zombie or never existed, then it has no start time', async () => {
  expect(startOf(process.pid)).toMatch(/^[A-Za-z0-9-]+$/)
  expect(startOf(2 ** 22 + 1)).toBeUndefined()
  const shell = spawn('sh', ['-c', 'true & echo $!; exec sleep 30'], { stdio: ['ignore', 'pipe', 'ignore'] })
  children.push(shell)
  const [text] = (await once(shell.stdout, 'data')) as [Buffer]
  await eventually('the process to end', async () => startOf(Number(text.toString())) === undefined)
})

test('When dev.json has the pid of this process but another start time, then no stack is running', () => {
  writeFileSync(join(folder, 'dev.json'), JSON.stringify({ pid: process.pid, processStart: startOf(process.pid) }))
  expect(findRunning(folder)).toMatchObject({ pid: process.pid })
  for (const stale of [{ pid: process.pid, processStart: '1' }, { pid: process.pid }]) {
    writeFileSync(join(folder, 'dev.json'), JSON.stringify(stale))
    expect(findRunning(folder)).toBeUndefined()
  }
  appendFileSync(join(folder, 'dev.json'), 'cut')
  expect(findRunning(folder)).toBeUndefined()
})

test('When several processes request the same port, then each gets a different one, although none listens yet', async () => {
  const script = `import { freePort } from '${PORTS}'; console.log(await freePort(19000)); process.stdin.resume()`
  const ports = await Promise.all(
    [1, 2, 3].map(async () => {
      const child = run(script)
      const [text] = (await once(child.stdout!, 'data')) as [Buffer]
      return Number(text.toString())
    }),
  )
  ports.push(await freePort(19000))
  expect(new Set(ports).size).toBe(4)
  for (const child of children) child.stdin!.end()
  await Promise.all(children.map((child) => once(child, 'exit')))
  expect(readdirSync('/tmp/caly-ports').filter((name) => children.some(({ pid }) => name.includes(`.${pid}.`)))).toEqual([])
})
