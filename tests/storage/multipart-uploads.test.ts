// What a multipart upload sends, so that its object has the same properties as one that is sent in one request.
import { HeadObjectCommand } from '@aws-sdk/client-s3'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { digestFile } from '../../recordings/digests.ts'
import { RecordingStore } from '../../recordings/store.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { wav } from '../support/audio.ts'
import { startFaultyS3, type FaultyS3 } from '../support/faulty-s3.ts'
import { startScriptedServer } from '../support/scripted-server.ts'
import { home, servers } from '../support/servers.ts'
import { spoolRecording } from '../support/spooled.ts'

const MB = 1024 ** 2
const SIZES = { singlePutMaxBytes: MB, partBytes: 5 * MB }

let faulty: FaultyS3
let bench: Workbench
beforeAll(async () => {
  faulty = await startFaultyS3()
  bench = await openWorkbench({ s3Endpoint: faulty.url, uploadSizes: SIZES })
})
afterAll(async () => {
  await bench?.close()
  await faulty?.close()
})
beforeEach(() => {
  faulty.reset()
  bench.restart()
})

test('When a recording is uploaded in parts, then its object has its type and metadata, and the store compares each part with its hashes', async () => {
  const header = wav({ seconds: 0, dataSize: 6 * MB - wav({ seconds: 0 }).length })
  const { input, path } = await spoolRecording(bench, { bytes: Buffer.concat([header, randomBytes(6 * MB - header.length)]) })
  const bytes = readFileSync(path)
  const { key } = await bench.run('uploadRecording', input)
  const head = await bench.bucket.client.send(new HeadObjectCommand({ Bucket: bench.bucket.name, Key: key }))
  expect(head).toMatchObject({
    ContentType: input.verdict.audio.contentType,
    Metadata: { callsid: input.callSid, sha256: input.spooled.sha256 },
  })
  const sent = faulty.requests.filter(({ url }) => url.includes('partNumber=') && url.includes(input.callSid))
  const parts = [bytes.subarray(0, 5 * MB), bytes.subarray(5 * MB)]
  expect(sent.map(({ headers }) => [headers['x-amz-content-sha256'], headers['content-md5']])).toEqual(
    parts.map((part) => [createHash('sha256').update(part).digest('hex'), createHash('md5').update(part).digest('base64')]),
  )
})

test('When the store returns ETags of parts that are no MD5, then the upload is completed with these ETags', async () => {
  const s3 = await startScriptedServer()
  const folder = mkdtempSync(join(home, 'parts-'))
  const sizes = { singlePutMaxBytes: 10, partBytes: 10 }
  const store = new RecordingStore({ ...servers.s3, endpoint: s3.url, bucket: 'bucket', connections: 2 }, sizes, [])
  try {
    const path = join(folder, 'file')
    writeFileSync(path, '15 bytes, three')
    const { bytes, sha256, etag, parts } = await digestFile(path, sizes, new AbortController().signal, () => {})
    let completed = ''
    s3.script(async (request, response) => {
      const query = new URL(request.url!, s3.url).searchParams
      const body = await text(request)
      if (request.method === 'HEAD') return response.writeHead(200, { 'content-length': bytes, etag: `"${etag}"` }).end()
      if (request.method === 'PUT') return response.writeHead(200, { etag: `"encrypted ${query.get('partNumber')}"` }).end()
      const answer = (root: string, content = ''): unknown =>
        response.writeHead(200, { 'content-type': 'application/xml' }).end(`<${root}>${content}</${root}>`)
      if (request.method === 'GET') return answer(query.has('uploadId') ? 'ListPartsResult' : 'ListMultipartUploadsResult')
      if (!query.has('uploadId')) return answer('InitiateMultipartUploadResult', '<UploadId>upload</UploadId>')
      completed = body
      return answer('CompleteMultipartUploadResult', '<Key>recordings/x.mp3</Key>')
    })
    const object = { key: 'recordings/x.mp3', path, bytes, sha256, etag, parts: parts!, contentType: 'audio/mpeg', metadata: {} }
    const control = { signal: new AbortController().signal, onProgress: () => {}, isCancelled: () => false }
    await store.put(object, control, { key: object.key, state: 'absent' })
    expect(completed.match(/encrypted \d/g)).toEqual(['encrypted 1', 'encrypted 2'])
  } finally {
    store.close()
    await s3.close()
    rmSync(folder, { recursive: true })
  }
})
