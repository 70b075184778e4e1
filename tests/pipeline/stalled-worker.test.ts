import { mkdtempSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { mp3 } from '../support/audio.ts'
import { startBackend, type Backend } from '../support/backend.ts'
import { eventually } from '../support/eventually.ts'
import { home } from '../support/servers.ts'

/** Well below the heartbeat timeout of 15 s, and longer than delays of a busy machine or disk. */
const STALL_MS = 8000
/** Reached after 14 s. If the SDK throttled heartbeats to 80 % of the timeout, the last one would be 9 s old by then. */
const STALL_AT_BYTES = 2_250_000

let backend: Backend
beforeAll(async () => {
  backend = await startBackend({ env: { RECORDING_FAST_PATH_MAX_BYTES: '0' } }) // only activities have heartbeats
})
afterAll(() => backend?.stop())

test('When a worker stalls for some seconds during a download, then no second attempt starts meanwhile', async () => {
  const recording = join(mkdtempSync(join(home, 'long-')), 'long.mp3')
  writeFileSync(recording, mp3({ frames: 16_000 }))
  const { call } = backend.simulator.call({ fault: 'slow-drip', recording })
  const spooled = () => backend.spoolFiles().filter((name) => !name.includes('.json'))
  const bytes = () => spooled().reduce((sum, name) => sum + statSync(join(backend.env.SPOOL_DIRECTORY!, name)).size, 0)
  await eventually('most of the recording to be spooled', async () => bytes() > STALL_AT_BYTES, 60_000)
  process.kill(backend.pid('worker'), 'SIGSTOP')
  await pause(STALL_MS) // the stall is the subject of this test
  process.kill(backend.pid('worker'), 'SIGCONT')
  expect(await backend.concluded(call.callSid, 60_000)).toMatchObject({ recording_state: 'stored' })
  expect(call.requests).toBe(1)
})
