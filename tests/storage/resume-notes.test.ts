// The note about a part on the disk: which of its bytes a later attempt may use.
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import type { CallSid } from '../../contracts/call-sid.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { eventually } from '../support/eventually.ts'
import { beginningOf, restOf, wholeOf, type Headers } from '../support/recording-answers.ts'
import { startScriptedServer, type ScriptedServer } from '../support/scripted-server.ts'
import { newCallSid } from '../support/servers.ts'

const MB = 1024 ** 2
const V1 = randomBytes(3 * MB)
const V2 = randomBytes(V1.length)
const CUT = 2 * MB
const ETAG_1 = { etag: '"v1"' }
const ETAG_2 = { etag: '"v2"' }

let exotel: ScriptedServer
let bench: Workbench
let source: { callSid: CallSid; sourceUrl: string }
beforeAll(async () => {
  exotel = await startScriptedServer()
  bench = await openWorkbench({ maxBytes: 64 * MB })
})
afterAll(async () => {
  await bench?.close()
  await exotel?.close()
})
beforeEach(() => {
  source = { callSid: newCallSid(), sourceUrl: `${exotel.url}/recordings/1.mp3` }
})

const download = () => bench.run('downloadRecording', source)
const file = () => bench.spool.fileFor(source.callSid, source.sourceUrl)
const notePath = () => `${bench.spool.path(file())}.json`
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
const ranges = () => exotel.requests.map(({ headers }) => headers.range)

async function leavePart(headers: Headers): Promise<void> {
  exotel.script(beginningOf(V1, CUT, { 'content-length': V1.length, ...headers }, () => bench.spool.bytesOf(file())))
  await expect(download()).rejects.toEqual(expect.objectContaining({ type: 'DownloadIncomplete', nonRetryable: true }))
}

describe('When a crash leaves a part that its note does not describe, then the part is not used:', () => {
  /** The download must request the whole second version. A resumed download would join both versions. */
  async function expectWhole(): Promise<void> {
    exotel.script((request, response) => (request.headers.range ? restOf(V2, ETAG_1) : wholeOf(V2, ETAG_1))(request, response))
    expect(await download()).toMatchObject({ sha256: sha256(V2) })
    expect(ranges()).toStrictEqual([undefined])
  }

  test('its tail is zeros', async () => {
    await leavePart(ETAG_1)
    writeFileSync(bench.spool.path(file()), Buffer.concat([V1.subarray(0, MB), Buffer.alloc(CUT - MB)]))
    await expectWhole()
  })

  test('it is shorter', async () => {
    await leavePart(ETAG_1)
    truncateSync(bench.spool.path(file()), MB)
    await expectWhole()
  })

  test('it has bytes of another version', async () => {
    await leavePart(ETAG_1)
    writeFileSync(bench.spool.path(file()), V2.subarray(0, CUT))
    await expectWhole()
  })

  test('it has no note', async () => {
    await leavePart(ETAG_1)
    writeFileSync(notePath(), '')
    await expectWhole()
  })
})

test('When a file has bytes after the part that its note describes, then they are cut off', async () => {
  await leavePart(ETAG_1)
  writeFileSync(bench.spool.path(file()), Buffer.concat([V1.subarray(0, CUT), Buffer.alloc(2 * MB)]))
  exotel.script(restOf(V1, ETAG_1))
  expect(await download()).toMatchObject({ bytes: V1.length, sha256: sha256(V1) })
  expect(sha256(readFileSync(bench.spool.path(file())))).toBe(sha256(V1))
})

test('When a new version is being written, then no note describes the old one', async () => {
  await leavePart(ETAG_1)
  exotel.script(async (_request, response) => {
    response.writeHead(200, { ...ETAG_2, 'content-length': V2.length }).write(V2.subarray(0, CUT))
    await eventually('the new version to be written', async () =>
      readFileSync(bench.spool.path(file())).subarray(0, CUT).equals(V2.subarray(0, CUT)),
    )
    expect(existsSync(notePath())).toBe(false)
    response.end(V2.subarray(CUT))
  })
  expect(await download()).toMatchObject({ sha256: sha256(V2) })
})

test('When a transfer is long, then it writes a note about the bytes on the disk before it ends', async () => {
  const bytes = randomBytes(20 * MB)
  exotel.script(async (_request, response) => {
    response.writeHead(200, { ...ETAG_1, 'content-length': bytes.length }).write(bytes.subarray(0, 18 * MB))
    const { synced } = await eventually('a note', async () => existsSync(notePath()) && bench.spool.note(file()))
    expect(synced!.bytes).toBeGreaterThanOrEqual(16 * MB)
    expect(synced!.sha256).toBe(sha256(bytes.subarray(0, synced!.bytes)))
    response.end(bytes.subarray(18 * MB))
  })
  expect(await download()).toMatchObject({ sha256: sha256(bytes) })
})

test('When all bytes of a part have already arrived, then no request is sent', async () => {
  exotel.script(wholeOf(V1, ETAG_1))
  await download()
  const all = { bytes: V1.length, sha256: sha256(V1) }
  await bench.spool.writeNote(file(), { validator: '"v1"', totalBytes: V1.length, synced: all })
  exotel.script((_request, response) => response.writeHead(500).end())
  expect(await download()).toMatchObject(all)
  expect(exotel.requests).toEqual([])
})
