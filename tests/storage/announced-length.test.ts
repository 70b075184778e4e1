// The length that a response announces may be wrong.
import { createHash, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { startScriptedServer, type ScriptedServer } from '../support/scripted-server.ts'
import { newCallSid } from '../support/servers.ts'

const BYTES = randomBytes(1000)
const SHA256 = createHash('sha256').update(BYTES).digest('hex')
const MAX_BYTES = 4 * 1024 ** 2

let exotel: ScriptedServer
let bench: Workbench
beforeAll(async () => {
  exotel = await startScriptedServer()
  bench = await openWorkbench({ maxBytes: MAX_BYTES })
})
afterAll(async () => {
  await bench?.close()
  await exotel?.close()
})

test.each([`${MAX_BYTES + 1}`, '9223372036854775807'])(
  'When a response announces %s bytes, more than the limit, then the attempt can be repeated, and the next one succeeds',
  async (length) => {
    const source = { callSid: newCallSid(), sourceUrl: `${exotel.url}/1.mp3` }
    exotel.script(
      (_request, response) => response.writeHead(200, { 'content-length': length }).write(BYTES),
      (_request, response) => response.writeHead(200, { 'content-length': BYTES.length }).end(BYTES),
    )
    const expected = { type: 'DownloadIncomplete', message: expect.stringContaining(`more than the limit of ${MAX_BYTES}`) }
    await expect(bench.run('downloadRecording', source)).rejects.toEqual(expect.objectContaining(expected))
    expect(await bench.run('downloadRecording', source)).toMatchObject({ sha256: SHA256 })
  },
)
