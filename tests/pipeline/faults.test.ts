import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { FAULTS, type Fault } from '../../testing/simulator/faults.ts'
import { startBackend, type Backend } from '../support/backend.ts'
import { eventually } from '../support/eventually.ts'
import { sample } from '../support/samples.ts'

let backend: Backend
beforeAll(async () => {
  backend = await startBackend()
})
afterAll(() => backend?.stop())

/** Long enough that a part of it is on disk when its first transfer is cut. */
const RECORDING = 'outbound-mono.mp3'

describe.each(['late-recording', 'rate-limited-long'] as const)(
  'When the first of two recordings of a call has the fault "%s",',
  (fault) => {
    test('then the second is stored before its link expires, and the first one later', async () => {
      const { call, told } = backend.simulator.call({ fault, recording: sample(RECORDING) })
      await told
      await eventually('the first to be requested', async () => call.requests > 0)
      const { link, acknowledged } = await backend.simulator.further(call, sample('short-vbr-id3.mp3'), 'expiring')
      expect(acknowledged).toBe(true)
      const states = async () => Object.fromEntries((await backend.recordingRows(call.callSid)).map((row) => [row.source_url, row.state]))
      await eventually('the second to be stored', async () => (await states())[link] === 'stored')
      expect(await states()).toEqual({ [backend.simulator.linkTo(call)]: 'awaiting', [link]: 'stored' })
      await backend.concluded(call.callSid)
      expect(await states()).toEqual({ [backend.simulator.linkTo(call)]: 'stored', [link]: 'stored' })
    })
  },
)

describe.each(['until-close', 'connection-close'] as const)('When many downloads end with their connection ("%s")', (fault) => {
  test('then the worker stores them all', async () => {
    const calls = Array.from({ length: 12 }, () => backend.simulator.call({ fault, recording: sample(RECORDING) }).call)
    const rows = await Promise.all(calls.map((call) => backend.concluded(call.callSid)))
    expect(rows.map((row) => row.recording_state)).toEqual(calls.map(() => 'stored'))
  })
})

describe('When Exotel has a fault, then the recording ends in the expected state, and no file is left in the spool:', () => {
  const names = Object.keys(FAULTS) as Fault[]
  let made: Map<Fault, ReturnType<Backend['simulator']['call']>>
  beforeAll(() => {
    // All calls are made at the same time, because some take a (scaled) hour.
    made = new Map(names.map((fault) => [fault, backend.simulator.call({ fault, recording: sample(RECORDING) })]))
  })

  test.each(names)('%s', async (fault) => {
    const { call, told } = made.get(fault)!
    await told
    const row = await backend.concluded(call.callSid)
    const expected = FAULTS[fault] as { ends: string; code?: string }
    expect(row).toMatchObject({ recording_state: expected.ends, recording_error_code: expected.code ?? null, status: call.status })
    const keys = await backend.bucket.keys()
    const [object] = keys.filter((key) => key.includes(call.callSid))
    if (expected.ends === 'stored') {
      expect(await backend.bucket.sha256Of(object!)).toBe(call.recording!.sha256)
      expect(row.recording_url).toBe(`${backend.env.WASABI_ENDPOINT}/${backend.bucket.name}/${object}`)
      expect(row.recording_error).toBeNull()
    } else {
      if (expected.ends === 'quarantined') expect(object).toMatch(/^quarantine\//)
      else expect(object).toBeUndefined()
      expect(row.recording_url).toBeNull()
      expect(row.recording_error).not.toBeNull()
    }
    expect(backend.spoolFiles().filter((file) => file.includes(call.callSid))).toEqual([])
  })
})
