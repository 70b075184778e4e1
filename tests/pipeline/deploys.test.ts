import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { startBackend, type Backend } from '../support/backend.ts'
import { sample } from '../support/samples.ts'

const CALLS_A_DEPLOY = 15
const DEPLOYS = 3

let backend: Backend
beforeAll(async () => {
  backend = await startBackend()
})
afterAll(() => backend?.stop())

test('When API and worker are restarted repeatedly under load, then no recording is lost and no finished transfer is repeated', async () => {
  const calls = []
  for (let deploy = 0; deploy < DEPLOYS; deploy += 1) {
    for (let i = 0; i < CALLS_A_DEPLOY; i += 1)
      calls.push(backend.simulator.call({ fault: 'none', recording: sample('outbound-mono.mp3') }))
    for (const name of ['worker', 'api'] as const) {
      expect(await backend.end(name, 'SIGTERM')).toBe(0)
      await backend.start(name)
    }
  }
  await Promise.all(calls.map(({ told }) => told))
  for (const { call } of calls) {
    expect(await backend.concluded(call.callSid, 60_000)).toMatchObject({ recording_state: 'stored' })
    expect(call.requests).toBe(1)
  }
  expect(await backend.bucket.keys()).toHaveLength(calls.length)
  expect(backend.spoolFiles()).toEqual([])
})
