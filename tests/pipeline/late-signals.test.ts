import { mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { seededRandom } from '../../testing/chaos/plan.ts'
import { startBackend, type Backend } from '../support/backend.ts'
import { mp3 } from '../support/audio.ts'
import { eventually } from '../support/eventually.ts'
import { sample } from '../support/samples.ts'
import { home, newCallSid } from '../support/servers.ts'
import { postWebhook } from '../support/webhook.ts'

const CALLS = 120
const AT_ONCE = 25
const WITHIN_MS = 1500

let backend: Backend
beforeAll(async () => {
  backend = await startBackend()
})
afterAll(() => backend?.stop())

test(`When events of ${CALLS} calls name a second recording at a random time, then none is lost and none is stored twice`, async () => {
  const other = join(mkdtempSync(join(home, 'other-')), 'second.mp3')
  writeFileSync(other, mp3())
  const first = backend.simulator.linkTo(
    backend.simulator.call({ fault: 'lost-webhook', status: 'completed', recording: sample('short-vbr-id3.mp3') }).call,
  )
  const second = backend.simulator.linkTo(backend.simulator.call({ fault: 'lost-webhook', status: 'completed', recording: other }).call)
  const random = seededRandom(1)
  const sids = Array.from({ length: CALLS }, newCallSid)
  const queue = [...sids]
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let callSid = queue.pop(); callSid; callSid = queue.pop()) {
        await postWebhook(backend.apiUrl, 'recording', { CallSid: callSid, Status: 'completed', RecordingUrl: first })
        await pause(random() * WITHIN_MS)
        await postWebhook(backend.apiUrl, 'recording', { CallSid: callSid, Status: 'completed', RecordingUrl: second })
      }
    }),
  )
  await eventually(
    'all recordings to be stored',
    async () => {
      const { rows } = await backend.database.query<{ stored: number }>(
        `SELECT count(*)::int AS stored FROM recordings WHERE state = 'stored' AND call_sid = ANY ($1)`,
        [sids],
      )
      return rows[0]!.stored === 2 * CALLS
    },
    300_000,
  )
  for (const callSid of sids) await backend.concluded(callSid)
  const keys = (await backend.bucket.keys()).filter((key) => sids.some((callSid) => key.includes(callSid)))
  expect(keys).toHaveLength(2 * CALLS)
  expect(new Set(keys).size).toBe(2 * CALLS)
}, 1_500_000)
