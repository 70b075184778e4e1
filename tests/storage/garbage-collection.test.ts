// Garbage collection aborts multipart uploads that were not completed.
import { AbortMultipartUploadCommand, CreateMultipartUploadCommand, ListMultipartUploadsCommand } from '@aws-sdk/client-s3'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { pino } from 'pino'
import { Spool } from '../../recordings/spool.ts'
import { RecordingStore } from '../../recordings/store.ts'
import { startGarbageCollection } from '../../recordings/garbage-collection.ts'
import { openBucket, type Bucket } from '../support/bucket.ts'
import { eventually } from '../support/eventually.ts'
import { startFaultyS3, type FaultyS3 } from '../support/faulty-s3.ts'
import { startScriptedServer } from '../support/scripted-server.ts'
import { createBucket, home, servers } from '../support/servers.ts'

const HOUR_MS = 3600_000
const KEYS = ['quarantine/2026/11/02/b.wav', 'recordings/2026/11/02/a.mp3']
const FOREIGN_KEY = 'exports/recordings/2026.zip'
const never = new AbortController().signal

let faulty: FaultyS3
let bucket: Bucket
let store: RecordingStore
beforeAll(async () => {
  faulty = await startFaultyS3()
  const access = await createBucket()
  bucket = openBucket(access)
  store = new RecordingStore({ ...access, endpoint: faulty.url, connections: 2 })
})
afterAll(async () => {
  store?.close()
  bucket?.close()
  await faulty?.close()
})
beforeEach(async () => {
  for (const Key of [...KEYS, FOREIGN_KEY]) await bucket.client.send(new CreateMultipartUploadCommand({ Bucket: bucket.name, Key }))
})
afterEach(async () => {
  for (const { Key, UploadId } of await uploads())
    await bucket.client.send(new AbortMultipartUploadCommand({ Bucket: bucket.name, Key, UploadId }))
})

const uploads = async () => (await bucket.client.send(new ListMultipartUploadsCommand({ Bucket: bucket.name }))).Uploads ?? []
const keys = async () => (await uploads()).map(({ Key }) => Key).toSorted()

test('When uploads started after the limit, then they stay', async () => {
  expect(await store.abortOldUploads(new Date(Date.now() - HOUR_MS), never)).toBe(0)
  expect(await keys()).toEqual([FOREIGN_KEY, ...KEYS])
})

test('When uploads started before the limit, then those of recordings are aborted, and those of others stay', async () => {
  expect(await store.abortOldUploads(new Date(Date.now() + HOUR_MS), never)).toBe(2)
  expect(await keys()).toEqual([FOREIGN_KEY])
})

test('When the store lists open uploads in two pages, then the uploads of both are aborted', async () => {
  const [first, second] = KEYS as [string, string]
  const upload = (key: string) =>
    `<Upload><Key>${key}</Key><UploadId>of ${key}</UploadId><Initiated>2026-11-02T10:00:00.000Z</Initiated></Upload>`
  const more = `<IsTruncated>true</IsTruncated><NextKeyMarker>${first}</NextKeyMarker><NextUploadIdMarker>of ${first}</NextUploadIdMarker>`
  const s3 = await startScriptedServer()
  s3.script((request, response) => {
    if (request.method === 'DELETE') return response.writeHead(204).end()
    const query = new URL(request.url!, s3.url).searchParams
    const isSecond = query.get('key-marker') === first && query.get('upload-id-marker') === `of ${first}`
    const page = isSecond ? `<IsTruncated>false</IsTruncated>${upload(second)}` : more + upload(first)
    return response
      .writeHead(200, { 'content-type': 'application/xml' })
      .end(`<ListMultipartUploadsResult>${page}</ListMultipartUploadsResult>`)
  })
  const paged = new RecordingStore({ ...servers.s3, bucket: bucket.name, endpoint: s3.url, connections: 1 })
  const swept = await paged.abortOldUploads(new Date(), never).finally(() => (paged.close(), s3.close()))
  expect(swept).toBe(2)
  const aborted = s3.requests.filter(({ method }) => method === 'DELETE').map(({ url }) => new URL(url, s3.url).pathname)
  expect(aborted).toEqual(KEYS.map((key) => `/${bucket.name}/${key}`))
})

/** Runs garbage collection as the worker does, without pauses between its runs, until the work is done. */
async function whileCollecting(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(home, 'spool-'))
  const spool = await Spool.open(folder, 'w', { maxBytes: 1000, minFreeBytes: 0 }, () => {})
  const stop = new AbortController()
  faulty.requests.length = 0
  const logger = pino({ level: 'silent' })
  const collecting = startGarbageCollection({ spool, store, logger, isOpen: async () => true, waitScale: 0, signal: stop.signal })
  try {
    await work(folder)
  } finally {
    stop.abort()
    await collecting.finally(() => spool.close())
    rmSync(folder, { recursive: true, force: true })
  }
}
const lists = () => faulty.requests.filter(({ method, url }) => method === 'GET' && url.includes('uploads'))

test('When the worker collects garbage, then an upload of the same day stays', async () => {
  await whileCollecting(async () => {
    await eventually('the second run, which starts after the first one', async () => lists().length >= 2)
  })
  expect(await keys()).toEqual([FOREIGN_KEY, ...KEYS])
})

test('When the store or the disk fails, then the next runs follow', async () => {
  faulty.next('GET', { status: 503, code: 'SlowDown' })
  await whileCollecting(async (folder) => {
    await eventually('a run after the failure of the store', async () => lists().length >= 3, 5000)
    rmSync(folder, { recursive: true })
    const before = lists().length
    await eventually('uploads to be listed although the spool cannot be', async () => lists().length >= before + 3, 5000)
  })
})
