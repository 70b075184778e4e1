// Recordings of several hours: memory stays constant, and interrupted transfers are resumed. Needs about 20 GB of disk space.
import { createHash, type Hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { startBackend, type Backend } from '../support/backend.ts'
import { wav } from '../support/audio.ts'
import { eventually } from '../support/eventually.ts'
import { newCallSid } from '../support/servers.ts'
import { postWebhook } from '../support/webhook.ts'

const MB = 1024 ** 2
const CHUNK = Buffer.alloc(MB, 0x55)

let backend: Backend
let exotel: Server
let url: string
let breakEveryBytes = Number.POSITIVE_INFINITY
let requests = 0
beforeAll(async () => {
  exotel = createServer((request, response) => void serve(request, response))
  exotel.listen(0, '127.0.0.1')
  await once(exotel, 'listening')
  url = `http://127.0.0.1:${(exotel.address() as AddressInfo).port}`
  backend = await startBackend({ env: { SPOOL_MAX_BYTES: String(20 * 1024 * MB), SHUTDOWN_GRACE_SECONDS: '5' } })
})
afterAll(async () => {
  await backend?.stop()
  exotel?.closeAllConnections()
  exotel?.close()
})

/** Serves `/<megabytes>-<name>.wav`: PCM whose first 16 bytes of audio are a hash of the name, so that all files differ. */
async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  requests += 1
  const [, megabytes, name] = /^\/(\d+)-(\w+)\.wav$/.exec(request.url!)!
  const head = headOf(Number(megabytes), name!)
  const total = head.length + Number(megabytes) * MB
  const from = request.headers['if-range'] ? Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0) : 0
  const range = from > 0 ? { 'content-range': `bytes ${from}-${total - 1}/${total}` } : {}
  response.writeHead(from > 0 ? 206 : 200, { 'content-length': total - from, etag: `"${name}"`, ...range })
  let sent = 0
  for (let at = from; at < total && !response.destroyed;) {
    const piece = at < head.length ? head.subarray(at) : CHUNK.subarray(0, Math.min(MB, total - at))
    if (!response.write(piece)) await drained(response)
    at += piece.length
    sent += piece.length
    if (sent >= breakEveryBytes && at < total) return void response.destroy()
  }
  response.end()
}

/** Resolves when the response accepts more bytes, or is closed. */
function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      response.off('drain', go).off('close', go)
      resolve()
    }
    response.once('drain', go).once('close', go)
  })
}

function headOf(megabytes: number, name: string): Buffer {
  const header = wav({ seconds: 0, channels: 2, sampleRate: 8000, dataSize: 16 + megabytes * MB })
  return Buffer.concat([header, createHash('md5').update(name).digest()])
}

function sha256Of(megabytes: number, name: string): string {
  const hash: Hash = createHash('sha256').update(headOf(megabytes, name))
  for (let i = 0; i < megabytes; i += 1) hash.update(CHUNK)
  return hash.digest('hex')
}

/** The worker's highest resident memory so far, in MB. */
function peakMemoryMb(): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${backend.pid('worker')}/status`, 'utf8'))![1]) / 1024
}

async function sendWebhook(megabytes: number, name: string): Promise<string> {
  const callSid = newCallSid()
  await postWebhook(backend.apiUrl, 'recording', { CallSid: callSid, Status: 'completed', RecordingUrl: `${url}/${megabytes}-${name}.wav` })
  return callSid
}

async function expectStored(callSid: string, sha256: string): Promise<void> {
  await eventually(`${callSid} to be stored`, async () => (await backend.callRow(callSid))?.recording_state === 'stored', 1_800_000)
  const [row] = await backend.recordingRows(callSid)
  expect(row).toMatchObject({ state: 'stored', sha256 })
  expect(await backend.bucket.sha256Of(row!.object_key!)).toBe(sha256)
}

test('When the connection breaks every 100 MB of a 1.2 GB recording, then it is stored by a multipart upload', async () => {
  breakEveryBytes = 100 * MB
  requests = 0
  const startedAt = Date.now()
  const callSid = await sendWebhook(1229, 'broken')
  await expectStored(callSid, sha256Of(1229, 'broken'))
  breakEveryBytes = Number.POSITIVE_INFINITY
  console.log(
    `1.2 GB in ${Math.round((Date.now() - startedAt) / 1000)} s, ${requests} requests, worker peak ${Math.round(peakMemoryMb())} MB`,
  )
  expect(requests).toBe(13)
  expect(await backend.bucket.openUploads()).toBe(0)
})

test('When eight recordings of 1 GB are processed at once, then the worker’s memory stays bounded', async () => {
  const startedAt = Date.now()
  const names = Array.from({ length: 8 }, (_, i) => `large${i}`)
  const sids = await Promise.all(names.map((name) => sendWebhook(1000, name)))
  for (const [i, callSid] of sids.entries()) await expectStored(callSid, sha256Of(1000, names[i]!))
  const peak = peakMemoryMb()
  console.log(`8 × 1 GB in ${Math.round((Date.now() - startedAt) / 1000)} s, worker peak ${Math.round(peak)} MB`)
  expect(peak).toBeLessThan(800)
  expect(backend.spoolFiles()).toEqual([])
})
