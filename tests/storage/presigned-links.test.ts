// A pre-signed link expires. Its failure says nothing about the recording, so the answer to the plain link decides.
import { createHash, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { nameRecording } from '../../calls/recording-facts.ts'
import type { CallSid } from '../../contracts/call-sid.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { status, wholeOf } from '../support/recording-answers.ts'
import { startScriptedServer, type Answer, type ScriptedServer } from '../support/scripted-server.ts'
import { newCallSid } from '../support/servers.ts'

const BYTES = randomBytes(1000)
const SHA256 = createHash('sha256').update(BYTES).digest('hex')

let exotel: ScriptedServer
let bench: Workbench
let source: { callSid: CallSid; sourceUrl: string }
beforeAll(async () => {
  exotel = await startScriptedServer()
  bench = await openWorkbench()
})
afterAll(async () => {
  await bench?.close()
  await exotel?.close()
})
beforeEach(() => {
  source = { callSid: newCallSid(), sourceUrl: `${exotel.url}/recordings/1.mp3` }
})

const presign = (fetchUrl: string) => nameRecording(bench.database, source.callSid, { sourceUrl: source.sourceUrl, fetchUrl })
const download = () => bench.run('downloadRecording', source)
const failure = (type: string) => expect.objectContaining({ type })
const whole = wholeOf(BYTES)
const state = (text: string): Answer => status(200, { 'content-type': 'application/json' }, JSON.stringify({ status: text }))

test.each([
  ['404', status(404)],
  ['410', status(410)],
  ['503', status(503)],
  ['"Link expired"', state('Link expired')],
  ['a redirect to a private address', status(302, { location: 'http://10.0.0.1/' })],
])('When a pre-signed link is answered with %s, then the answer to the plain link decides', async (_how, stale) => {
  await presign(`${exotel.url}/presigned/x?Signature=s`)
  for (const [plain, code] of [
    [status(403), 'ExotelUnauthorized'],
    [status(502), 'ExotelUnavailable'],
    [status(404), 'RecordingNotFound'],
    [status(410), 'RecordingExpired'],
  ] as const) {
    exotel.script(stale, plain)
    await expect(download()).rejects.toEqual(failure(code))
  }
  exotel.script(stale, whole)
  expect(await download()).toMatchObject({ sha256: SHA256 })
})

test.each(['ftp://cdn.example/1.mp3?Signature=s', 'http://169.254.169.254/1.mp3?Signature=s'])(
  'When the pre-signed link %s is refused by our rules, then the answer to the plain link decides',
  async (fetchUrl) => {
    await presign(fetchUrl)
    exotel.script(status(403))
    await expect(download()).rejects.toEqual(failure('ExotelUnauthorized'))
    expect(exotel.requests.map(({ url }) => url)).toEqual(['/recordings/1.mp3'])
  },
)
