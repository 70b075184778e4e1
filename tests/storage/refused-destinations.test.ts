// Redirects and DNS addresses that are refused. They may be temporary, so the recording is requested again.
import { randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { nextRecovery } from '../../calls/recovery-plan.ts'
import { openWorkbench, RECOVERY, type Workbench } from '../support/activities.ts'
import { status, wholeOf } from '../support/recording-answers.ts'
import { startScriptedServer, type ScriptedServer } from '../support/scripted-server.ts'
import { newCallSid } from '../support/servers.ts'

const BYTES = randomBytes(1000)

let exotel: ScriptedServer
let bench: Workbench
beforeAll(async () => {
  exotel = await startScriptedServer()
  bench = await openWorkbench()
})
afterEach(() => bench.restart())
afterAll(async () => {
  await bench?.close()
  await exotel?.close()
})

const whole = wholeOf(BYTES)
const retried = (message: string) => expect.objectContaining({ type: 'ExotelUnavailable', message })
const alarm = (host: string) => ({ name: 'DestinationRefused', reason: expect.stringContaining(host) })

test.each([
  ['http://169.254.169.254/latest?Signature=secret', 'http://169.254.169.254: The link leads to a linkLocal address'],
  ['ftp://cdn.example/1.mp3', "ftp://cdn.example: The link's scheme is ftp; only https is allowed"],
  ['http://user:secret@cdn.example/1.mp3', 'http://cdn.example: The link contains credentials'],
])(
  'When a redirect leads to %s, then the attempt can be repeated, and the alarm names the host until a download succeeds',
  async (location, reason) => {
    const download = () => bench.run('downloadRecording', { callSid: newCallSid(), sourceUrl: `${exotel.url}/1.mp3` })
    exotel.script(status(302, { location }), whole)
    await expect(download()).rejects.toEqual(retried(`${new URL(exotel.url).host} redirects to ${reason}`))
    expect(bench.alarms.active()).toMatchObject([alarm('127.0.0.1')])
    expect(await download()).toMatchObject({ bytes: BYTES.length })
    expect(bench.alarms.active()).toEqual([])
  },
)

test('When an allowed name resolves to a private address, then no connection is made, the attempt can be repeated, and the alarm names the host', async () => {
  const { port } = new URL(exotel.url)
  const strict = await openWorkbench({ policy: { hosts: [`localhost:${port}`], publicHosts: [], allowLocal: false } })
  try {
    exotel.script(whole)
    const work = strict.run('downloadRecording', { callSid: newCallSid(), sourceUrl: `https://localhost:${port}/1.mp3` })
    await expect(work).rejects.toEqual(retried('localhost cannot be requested: The link leads to a loopback address'))
    expect(exotel.requests).toEqual([])
    expect(strict.alarms.active()).toMatchObject([alarm('localhost')])
  } finally {
    await strict.close()
  }
})

test('When a redirect is refused, then recovery tries again, and when the link itself is refused, then it does not', () => {
  const now = new Date()
  expect(nextRecovery('ExotelUnavailable', { failures: 1, since: now, now }, RECOVERY)).toBeInstanceOf(Date)
  expect(nextRecovery('RecordingUrlRefused', { failures: 1, since: now, now }, RECOVERY)).toBeUndefined()
})

test('When the link itself has a private address, then it is refused for good, without an alarm', async () => {
  const work = bench.run('downloadRecording', { callSid: newCallSid(), sourceUrl: 'http://169.254.169.254/1.mp3' })
  await expect(work).rejects.toEqual(expect.objectContaining({ type: 'RecordingUrlRefused' }))
  expect(bench.alarms.active()).toEqual([])
})
