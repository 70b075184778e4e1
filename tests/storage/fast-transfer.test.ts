// The fast path as a local activity: all steps of one recording, with real PostgreSQL, S3 and disk.
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { recordEvent } from '../../calls/record-event.ts'
import type { CallSid } from '../../contracts/call-sid.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { mp3 } from '../support/audio.ts'
import { eventually } from '../support/eventually.ts'
import { startFaultyS3, type FaultyS3 } from '../support/faulty-s3.ts'
import { status, wholeOf } from '../support/recording-answers.ts'
import { startScriptedServer, type ScriptedServer } from '../support/scripted-server.ts'
import { newCallSid } from '../support/servers.ts'

const BYTES = mp3()
const SHA256 = createHash('sha256').update(BYTES).digest('hex')
const MAX_BYTES = 1024 ** 2

let exotel: ScriptedServer
let faulty: FaultyS3
let bench: Workbench
beforeAll(async () => {
  exotel = await startScriptedServer()
  faulty = await startFaultyS3()
  bench = await openWorkbench({ s3Endpoint: faulty.url })
})
afterAll(async () => {
  await bench?.close()
  await faulty?.close()
  await exotel?.close()
})

let callSid: CallSid
let sourceUrl: string
beforeEach(async () => {
  faulty.reset()
  bench.restart()
  callSid = newCallSid()
  sourceUrl = `${exotel.url}/recordings/${callSid}.mp3`
  exotel.script(wholeOf(BYTES))
  const event = { callSid, route: 'call-end' as const, status: 'completed' as const, ended: true, sources: [{ sourceUrl }] }
  await recordEvent(bench.database, { source: 'exotel', route: 'call-end', identity: callSid, event, fields: {} })
})

const transfer = (more: { callSid?: CallSid; maxBytes?: number; conclusionId?: string } = {}) =>
  bench.run('fastTransfer', { callSid, sourceUrl, maxBytes: MAX_BYTES, conclusionId: `id-${callSid}`, ...more })
const row = () => bench.database.recording.findFirstOrThrow({ where: { callSid } })

test('When a recording is small and available, then one local activity stores it and writes its rows', async () => {
  const result = await transfer()
  expect(result).toMatchObject({ kind: 'concluded', outcome: { state: 'stored', bytes: BYTES.length, sha256: SHA256 } })
  const stored = await row()
  expect(stored).toMatchObject({ state: 'stored', sha256: SHA256 })
  expect(await bench.bucket.sha256Of(stored.objectKey!)).toBe(SHA256)
  expect(await bench.database.call.findUnique({ where: { callSid } })).toMatchObject({ recordingState: 'stored' })
  expect(await bench.spool.files()).toEqual([])
})

test('When it is repeated after its result was lost, then there is one object and one attempt', async () => {
  const first = await transfer()
  expect(await transfer()).toEqual(first)
  expect((await bench.bucket.keys()).filter((key) => key.includes(callSid))).toHaveLength(1)
  const attempts = await bench.database.recordingAttempt.findMany({ where: { callSid } })
  expect(attempts.map(({ identity }) => identity)).toEqual([expect.stringMatching(`^id-${callSid}/stored/recordings/`)])
})

test('When it is repeated and Exotel no longer has the recording, then the result is the same', async () => {
  await transfer()
  const { objectKey: key } = await row()
  const stored = { kind: 'concluded', outcome: { state: 'stored', key, bytes: BYTES.length, sha256: SHA256, audio: { extension: 'mp3' } } }
  exotel.script(status(404))
  expect(await transfer()).toMatchObject(stored)
  exotel.script(wholeOf('<html>not found</html>'))
  expect(await transfer()).toMatchObject(stored)
})

test('When another run transfers a stored recording again and Exotel no longer has it, then this transfer fails', async () => {
  await transfer()
  exotel.script(status(404))
  await expect(transfer({ conclusionId: 'of another run' })).rejects.toEqual(expect.objectContaining({ type: 'RecordingNotFound' }))
})

test('When it is repeated and the call was erased in the meantime, then it is cancelled', async () => {
  await transfer()
  await bench.owner.call.update({ where: { callSid }, data: { recordingState: 'erased', recordingUrl: null } })
  await expect(transfer()).rejects.toEqual(expect.objectContaining({ type: 'Cancelled' }))
})

describe('When something is unusual, then the result has what was reached:', () => {
  test('a recording above the limit', async () => {
    const reason = `The recording has ${BYTES.length} bytes`
    expect(await transfer({ maxBytes: BYTES.length - 1 })).toEqual({ kind: 'unfinished', reason })
    expect(await row()).toMatchObject({ state: 'awaiting' })
  })

  test('a recording above the limit whose length is not announced', async () => {
    exotel.script((_request, response) => response.writeHead(200, { 'transfer-encoding': 'chunked' }).end(BYTES))
    const result = await transfer({ maxBytes: BYTES.length - 1 })
    expect(result).toMatchObject({ kind: 'unfinished', reason: expect.stringMatching(/longer than the limit/) })
    expect(await row()).toMatchObject({ state: 'awaiting' })
    await bench.run('discardRecording', { callSid, sourceUrl })
  })

  test('a source that sends slowly', async () => {
    let isStopped = false
    exotel.script((_request, response) => {
      response.on('close', () => (isStopped = true))
      response.writeHead(200, { 'content-length': BYTES.length }).write(BYTES.subarray(0, 100))
    })
    const result = await transfer()
    expect(result).toMatchObject({ kind: 'unfinished', reason: expect.stringMatching(/^No answer within/) })
    expect(result).not.toHaveProperty('spooled')
    await eventually('the download to stop', async () => isStopped, 5000)
  })

  test('an S3 that is unavailable', async () => {
    faulty.always('PUT', /recordings/, { status: 503, code: 'ServiceUnavailable' })
    const result = await transfer()
    expect(result).toMatchObject({ kind: 'unfinished', spooled: { sha256: SHA256 }, verdict: { kind: 'good' } })
    expect(result).not.toHaveProperty('stored')
    expect(await bench.spool.holds(bench.spool.fileFor(callSid, sourceUrl))).toBe(true)
    await bench.run('discardRecording', { callSid, sourceUrl })
  })

  test('an S3 that was unavailable for other recordings', async () => {
    faulty.always('PUT', /recordings/, { status: 503, code: 'ServiceUnavailable' })
    while (bench.breaker.state() === 'closed') await transfer({ callSid: newCallSid() })
    const requests = exotel.requests.length
    expect(await transfer()).toEqual({ kind: 'unfinished', reason: 'S3 is unavailable' })
    expect(exotel.requests).toHaveLength(requests)
  })

  test('a file that is not complete', async () => {
    exotel.script(wholeOf('<html>please wait</html>'))
    expect(await transfer()).toMatchObject({ kind: 'unfinished', verdict: { kind: 'refused' } })
    expect(await row()).toMatchObject({ state: 'awaiting' })
  })

  test('more recordings at once than a worker transfers on the fast path', async () => {
    const waiting: (() => void)[] = []
    exotel.script((_request, response) => new Promise<void>((resolve) => waiting.push(() => (response.writeHead(404).end(), resolve()))))
    const others = Array.from({ length: 32 }, () => transfer({ callSid: newCallSid() }).catch((error: unknown) => error))
    await eventually('all places to be taken', async () => waiting.length === 32)
    expect(await transfer()).toMatchObject({ kind: 'unfinished', reason: expect.stringMatching(/^32 recordings/) })
    for (const release of waiting) release()
    await Promise.all(others)
    exotel.script(wholeOf(BYTES))
    expect(await transfer()).toMatchObject({ kind: 'concluded' })
  })
})

test('When Exotel does not have the recording, then it fails as the download does', async () => {
  exotel.script(status(404))
  await expect(transfer()).rejects.toEqual(expect.objectContaining({ type: 'RecordingNotFound', nonRetryable: true }))
})
