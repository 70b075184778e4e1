// Waveform peaks with the real processes.
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { pino } from 'pino'
import { readPeaks } from '../../calls/recording-peaks.ts'
import { PEAKS_WORKFLOW, RECORDINGS_QUEUE, SCHEDULES } from '../../contracts/names.ts'
import { connectDatabase, type Database } from '../../platform/database.ts'
import { requestPeaks } from '../../temporal/request-peaks.ts'
import { startBackend, type Backend } from '../support/backend.ts'
import { eventually } from '../support/eventually.ts'
import { peaksOf } from '../support/peaks.ts'
import { sample } from '../support/samples.ts'

let backend: Backend
let database: Database
beforeAll(async () => {
  backend = await startBackend()
  database = connectDatabase({ url: backend.databaseUrl, poolSize: 2, logger: pino({ level: 'silent' }) })
})
afterAll(async () => {
  await database?.$disconnect()
  await backend?.stop()
})

async function stored(file: string): Promise<string> {
  const { callSid } = backend.simulator.call({ fault: 'none', recording: sample(file) }).call
  await backend.concluded(callSid, 60_000)
  const { rows } = await backend.database.query<{ id: string }>('SELECT id::text FROM recordings WHERE call_sid = $1', [callSid])
  return rows[0]!.id
}
const peaks = (id: string) => eventually(`peaks of recording ${id}`, () => readPeaks(database, id))
const expected = (file: string) => peaksOf(readFileSync(sample(file)))

test('When a recording is stored and somebody listens to it, then its peaks are computed, outside of its workflow', async () => {
  const id = await stored('inbound-dual.mp3')
  expect(await readPeaks(database, id)).toBeUndefined()
  await requestPeaks(backend.temporal, id)
  expect(await peaks(id)).toEqual(await expected('inbound-dual.mp3'))
})

test('When recordings were stored before, then the schedule computes the peaks of all of them, once', async () => {
  const files = ['voicemail-pcm.wav', 'agent-mulaw.wav', 'short-vbr-id3.mp3']
  const ids = await Promise.all(files.map((file) => stored(file)))
  await backend.temporal.schedule.getHandle(SCHEDULES.peaks).trigger()
  for (const [index, id] of ids.entries()) expect(await peaks(id)).toEqual(await expected(files[index]!))
  const again = await backend.temporal.workflow.execute(PEAKS_WORKFLOW, { workflowId: 'again', taskQueue: RECORDINGS_QUEUE, args: [] })
  expect(again).toEqual({ peaks: 0, none: 0, known: 0, gone: 0, failed: 0 })
})
