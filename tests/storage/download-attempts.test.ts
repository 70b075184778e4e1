// An attempt to download that is cancelled, is superseded, or finds no space in the spool.
import { createHash, randomBytes } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import type { CallSid } from '../../contracts/call-sid.ts'
import { nameRecording } from '../../calls/recording-facts.ts'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { wholeOf } from '../support/recording-answers.ts'
import { startScriptedServer, type Answer, type ScriptedServer } from '../support/scripted-server.ts'
import { newCallSid } from '../support/servers.ts'

const MB = 1024 ** 2
const BYTES = randomBytes(3 * MB)
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

const download = () => bench.run('downloadRecording', source)

const whole = wholeOf(BYTES, { etag: '"v1"' })
const failure = (type: string, more: object = {}) => expect.objectContaining({ type, ...more })

test('When the spool is full, then the task waits, and its row contains the reason', async () => {
  const small = await openWorkbench({ limits: { maxBytes: 2 * MB, minFreeBytes: 0 } })
  try {
    exotel.script(whole)
    await nameRecording(small.database, source.callSid, source)
    await expect(small.run('downloadRecording', source)).rejects.toEqual(failure('SpoolFull', { nonRetryable: false, category: 'BENIGN' }))
    expect(await small.database.recording.findFirst({ where: source })).toMatchObject({
      state: 'awaiting',
      errorCode: 'SpoolFull',
      nextTryAt: expect.any(Date),
    })
    expect(await small.spool.files()).toEqual([])
  } finally {
    await small.close()
  }
})

describe('When the length of the recording is not announced', () => {
  const limited = (maxBytes: number) => openWorkbench({ limits: { maxBytes, minFreeBytes: 0 } })
  const large = Buffer.alloc(30 * MB, 'audio')

  test.each<[string, Answer]>([
    ['in chunks', (_request, response) => void response.writeHead(200, { etag: '"v1"' }).end(large)],
    [
      'compressed, with the length of the compressed body',
      (_request, response) => {
        const zipped = gzipSync(large)
        response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': zipped.length }).end(zipped)
      },
    ],
  ])('then 30 MB are not accepted into a spool of 1 MB: %s', async (_how, answer) => {
    const small = await limited(MB)
    try {
      exotel.script(answer)
      await expect(small.run('downloadRecording', source)).rejects.toEqual(
        failure('SpoolFull', { nonRetryable: false, category: 'BENIGN' }),
      )
      expect(readdirSync(small.spool.directory).filter((name) => name !== '.lock')).toEqual([])
    } finally {
      await small.close()
    }
  })

  test('then a recording that fits is accepted', async () => {
    const enough = await limited(48 * MB)
    try {
      exotel.script((_request, response) => response.writeHead(200).end(large))
      expect(await enough.run('downloadRecording', source)).toMatchObject({ bytes: large.length })
    } finally {
      await enough.close()
    }
  })
})

test('When the activity is cancelled, then the transfer stops immediately, and the bytes that arrived stay', async () => {
  const environment = bench.environment()
  exotel.script((_request, response) => {
    response.writeHead(200, { 'content-length': BYTES.length, etag: '"v1"' })
    response.write(BYTES.subarray(0, MB), () => environment.cancel('CANCELLED'))
  })
  await expect(environment.run(bench.activities.downloadRecording as never, source as never)).rejects.toMatchObject({
    name: 'CancelledFailure',
  })
})

test('When a worker shuts down, then the task is retried by another worker', async () => {
  const environment = bench.environment()
  exotel.script((_request, response) => {
    response.writeHead(200, { 'content-length': BYTES.length, etag: '"v1"' })
    response.write(BYTES.subarray(0, MB), () => environment.cancel('WORKER_SHUTDOWN'))
  })
  await expect(environment.run(bench.activities.downloadRecording as never, source as never)).rejects.toEqual(
    failure('WorkerShutdown', { nonRetryable: false }),
  )
})

test('When two attempts write one file, then the earlier one ends first', async () => {
  let second: Promise<unknown> | undefined
  exotel.script((_request, response) => {
    response.writeHead(200, { 'content-length': BYTES.length })
    response.write(BYTES.subarray(0, MB), () => (second = download()))
  }, whole)
  await expect(download()).rejects.toThrow()
  expect(await second).toMatchObject({ sha256: SHA256 })
})
