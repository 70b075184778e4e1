// API and worker continue if nothing can be logged: their output goes to a full disk, or its reader has ended.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from '@jest/globals'
import { freePort } from '../../dev/ports.ts'
import { startBackend, type Backend } from '../support/backend.ts'
import { eventually } from '../support/eventually.ts'
import { sample } from '../support/samples.ts'
import { dist } from '../support/servers.ts'

const FULL = '/dev/full'

let backend: Backend
let children: ChildProcess[] = []
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL')
  children = []
  await backend?.stop()
})

function launch(script: string, env: NodeJS.ProcessEnv, output: number | 'pipe'): ChildProcess {
  const child = spawn(process.execPath, [join(dist, script)], { env: { ...backend.env, ...env }, stdio: ['ignore', output, output] })
  children.push(child)
  return child
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null
}

async function isReady(url: string): Promise<boolean> {
  return (await fetch(`${url}/health/ready`)).ok
}

/** Starts both processes with the same output. Resolves when both are ready. */
async function start(output: number | 'pipe', env: NodeJS.ProcessEnv = {}): Promise<ChildProcess[]> {
  backend = await startBackend({ start: [] })
  const worker = await freePort(0)
  const api = { PORT: new URL(backend.apiUrl).port, OPERATIONS_PORT: '0' }
  const started = [
    launch('api/main.js', { ...env, ...api }, output),
    launch('worker.js', { ...env, OPERATIONS_PORT: String(worker) }, output),
  ]
  for (const child of started) for (const stream of [child.stdout, child.stderr]) stream?.once('data', () => stream.destroy())
  for (const url of [backend.apiUrl, `http://127.0.0.1:${worker}`]) {
    await eventually(`${url} to be ready, or a process to end`, async () => started.some(hasEnded) || (await isReady(url)))
    expect(started.filter(hasEnded)).toEqual([])
  }
  return started
}

async function storesCallsAndEndsCleanly(started: ChildProcess[]): Promise<void> {
  for (const _ of [1, 2]) {
    const { call } = backend.simulator.call({ fault: 'cut', recording: sample('outbound-mono.mp3') })
    await eventually('the call to have a row', () => backend.callRow(call.callSid))
    expect(await backend.concluded(call.callSid)).toMatchObject({ recording_state: 'stored' })
  }
  await fetch(`${backend.apiUrl}/webhooks/exotel/call-end`, { method: 'POST' }) // logged as a warning
  for (const child of started) {
    expect(hasEnded(child)).toBe(false)
    child.kill('SIGTERM')
    expect(await once(child, 'exit')).toEqual([0, null])
  }
}

const onFullDisk = existsSync(FULL) ? test : test.skip

onFullDisk('When stdout, stderr and the log file are on a full disk, then calls are stored', async () => {
  const full = openSync(FULL, 'w')
  try {
    await storesCallsAndEndsCleanly(await start(full, { LOG_FILE: FULL, LOG_LEVEL: 'trace' }))
  } finally {
    closeSync(full)
  }
})

test('When the reader of stdout and stderr has ended, then calls are stored', async () => {
  await storesCallsAndEndsCleanly(await start('pipe'))
})
