import { createHash, randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { HeadObjectCommand, ListObjectsV2Command, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { hashObject, headObject } from '../../recordings/object-reads.ts'
import { createS3Client } from '../../recordings/s3-client.ts'
import { classifyStoreError } from '../../recordings/store-errors.ts'
import { eventually } from '../support/eventually.ts'
import { startScriptedServer, type Answer, type ScriptedServer } from '../support/scripted-server.ts'

const KEYS = { region: 'local', bucket: 'bucket', accessKeyId: 'a', secretAccessKey: 'b', connections: 4 }
const DEADLINE = { baseMs: 1000, msPerMb: 1000 }
const PACE = { idleMs: 1000, baseMs: 1000, msPerMb: 1000 }
const PLACE = { Bucket: 'bucket', Key: 'key' }
const never = new AbortController().signal

let server: ScriptedServer
let client: S3Client
let closed = 0
beforeAll(async () => {
  server = await startScriptedServer()
  client = createS3Client({ ...KEYS, endpoint: server.url }, DEADLINE)
})
afterAll(async () => {
  client?.destroy()
  await server?.close()
})
beforeEach(() => {
  closed = 0
})

const repeating =
  (status: number, text: string, headers: Record<string, string | number> = {}): Answer =>
  (request, response) => {
    request.resume()
    repeat(response.writeHead(status, { 'content-type': 'application/xml', ...headers }), text)
  }

function repeat(response: ServerResponse, text: string): void {
  response.write(text)
  const timer = setInterval(() => response.write(text), 50)
  response.on('close', () => {
    clearInterval(timer)
    closed += 1
  })
}

/** Waits until the connection is closed, and returns the classified error of the store. */
async function outcome(work: Promise<unknown>): Promise<unknown> {
  const error = await work.then(
    () => undefined,
    (error: unknown) => error,
  )
  await eventually('the connection to be closed', async () => closed === 1)
  return error && classifyStoreError(error)
}
const inTime = { of: 'service', reason: expect.stringMatching(/No answer within/) }
const list = () => client.send(new ListObjectsV2Command({ Bucket: 'bucket' }))

describe('When a response of the store arrives byte by byte, then the request ends:', () => {
  test('a list', async () => {
    server.script(repeating(200, ' '))
    expect(await outcome(list())).toEqual(inTime)
  })

  test('an error', async () => {
    server.script(repeating(503, ' '))
    expect(await outcome(list())).toEqual(inTime)
  })

  test('the headers', async () => {
    server.script((_request, response) => {
      response.on('close', () => (closed += 1))
      response.socket!.write('HTTP/1.1 200 OK\r\nx-drip: ')
      const timer = setInterval(() => response.socket!.write('x'), 50)
      response.on('close', () => clearInterval(timer))
    })
    expect(await outcome(client.send(new HeadObjectCommand(PLACE)))).toEqual(inTime)
  })

  test('an upload, whose deadline grows with its size', async () => {
    server.script(repeating(200, ' '))
    const Body = randomBytes(1024 ** 2)
    const reason = expect.stringMatching(/No answer within 2000 ms/)
    expect(await outcome(client.send(new PutObjectCommand({ ...PLACE, Body })))).toEqual({ of: 'service', reason })
  })

  test('an object that is read back', async () => {
    server.script(repeating(200, 'x', { 'content-length': 1024 ** 3 }))
    expect(await outcome(hashObject(client, PLACE, never, () => {}, PACE))).toEqual({
      of: 'service',
      reason: expect.stringMatching(/too slow/),
    })
  })
})

test('When an error of the store never ends, then only its beginning is read', async () => {
  server.script(repeating(503, 'x'.repeat(100_000)))
  expect(await outcome(list())).toEqual({ of: 'service', reason: expect.stringMatching(/longer than the limit of 65536 bytes/) })
})

test('When the caller aborts, then the request ends', async () => {
  const caller = new AbortController()
  server.script((_request, response) => {
    response.on('close', () => (closed += 1))
    caller.abort()
  })
  expect(await outcome(headObject(client, PLACE, caller.signal))).toMatchObject({ reason: expect.stringMatching(/AbortError/) })
})

test('When the store answers errors as usual, then their codes are known', async () => {
  const error = '<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>later</Message></Error>'
  server.script((_request, response) => response.writeHead(503, { 'content-type': 'application/xml' }).end(error))
  await expect(list()).rejects.toMatchObject({ name: 'SlowDown', message: 'later' })
  server.script((_request, response) => response.writeHead(404).end())
  expect(await headObject(client, PLACE, never)).toBeUndefined()
})

test('When reading an object takes longer than the deadline of a request, then its bytes are hashed', async () => {
  const bytes = randomBytes(1024 ** 2)
  const parts = 15
  server.script((_request, response) => {
    response.writeHead(200, { 'content-length': bytes.length })
    let at = 0
    const timer = setInterval(() => {
      response.write(bytes.subarray(at, (at += Math.ceil(bytes.length / parts))))
      if (at < bytes.length) return
      clearInterval(timer)
      response.end()
    }, 100)
  })
  const { sha256 } = await hashObject(client, PLACE, never, () => {}, { idleMs: 5000, baseMs: 60_000, msPerMb: 1000 })
  expect(sha256).toBe(createHash('sha256').update(bytes).digest('hex'))
})
