import { execFile as execFileCallback } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { formatExotelTime } from '../../exotel/time.ts'
import { BACKFILL_WORKFLOW_ID } from '../../contracts/names.ts'
import { startBackend, type Backend } from '../support/backend.ts'
import { eventually } from '../support/eventually.ts'
import { sample } from '../support/samples.ts'
import { dist } from '../support/servers.ts'
import { postWebhook } from '../support/webhook.ts'

const execFile = promisify(execFileCallback)
const DAY = 24 * 3600_000

let backend: Backend
beforeAll(async () => {
  // Two seconds, and one, at the tests' scale.
  backend = await startBackend({ env: { RECONCILE_EVERY_MINUTES: '6', LINK_SWEEP_EVERY_MINUTES: '3' } })
})
afterAll(() => backend?.stop())

const untold = (endedAt = new Date()) =>
  backend.simulator.call({ fault: 'none', recording: sample('short-vbr-id3.mp3'), untold: true, endedAt }).call
const becomes = (callSid: string, state: string) =>
  eventually(`${callSid} to be ${state}`, async () => (await backend.callRow(callSid))?.recording_state === state, 60_000)
const sourcesOf = async (callSid: string) =>
  (
    await backend.database.query<{ source: string }>('SELECT source FROM webhook_events WHERE call_sid = $1 ORDER BY id', [callSid])
  ).rows.map(({ source }) => source)
const backfill = (...args: string[]) =>
  execFile(process.execPath, [join(dist, 'cli/backfill.js'), ...args], { env: backend.env }).then(
    ({ stdout }) => ({ code: 0, output: stdout }),
    (error: { code: number; stderr: string }) => ({ code: error.code, output: error.stderr }),
  )

test('When every webhook of a call was lost, then its recording is stored by reconciliation', async () => {
  const { callSid } = untold()
  await becomes(callSid, 'stored')
  expect(await sourcesOf(callSid)).toEqual(['reconcile'])
  const { rows } = await backend.database.query(`SELECT complete FROM reconcile_passes WHERE kind = 'regular' AND calls_new > 0`)
  expect(rows).toContainEqual({ complete: true })
})

test('When only the webhook with the link was lost, then the recording is stored by the link sweep', async () => {
  const { callSid } = untold(new Date(Date.now() - 5 * DAY)) // beyond the pass's window
  await postWebhook(backend.apiUrl, 'call-end', { CallSid: callSid, Status: 'completed', EndTime: formatExotelTime(new Date()) })
  await becomes(callSid, 'stored')
})

test('When a person starts a backfill, then recordings of earlier months are stored, and a second backfill at the same time is refused', async () => {
  const old = [40, 100].map((days) => untold(new Date(Date.now() - days * DAY)).callSid)
  const from = new Date(Date.now() - 120 * DAY).toISOString().slice(0, 10)
  expect(await backfill('--from', from)).toMatchObject({ code: 0, output: expect.stringContaining('was started as the workflow backfill') })
  const second = await backfill('--from', from)
  if (second.code !== 0) expect(second.output).toContain('A backfill is already running')
  for (const callSid of old) {
    await becomes(callSid, 'stored')
    expect(await sourcesOf(callSid)).toEqual(['backfill'])
  }
  const ended = (await backend.temporal.workflow.getHandle(BACKFILL_WORKFLOW_ID).result()) as { callsNew: number }
  expect(ended.callsNew).toBeGreaterThanOrEqual(second.code === 0 ? 0 : 2)
})

test.each([
  [[], /--from is missing/],
  [['--from', '2026-13-01'], /--from is not a valid date/],
  [['--from', '2026-10-01', '--to', '2026-09-01'], /must be before/],
  [['--from', '2026-10-01', '--open', '0'], /--open must be/],
  [['--until', 'now'], /Usage: npm run backfill/],
])('When a backfill is started with the arguments %j, then the message says what is wrong', async (args, message) => {
  const { code, output } = await backfill(...args)
  expect(code).toBe(1)
  expect(output).toMatch(message)
  expect(output).not.toContain('    at ')
})
