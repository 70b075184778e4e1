// What `npm run doctor` says about the bucket, and what it leaves there.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { setTimeout as pause } from 'node:timers/promises'
import { examine, notOk, openInstallation, type Diagnosis, type Installation } from '../support/doctor.ts'
import { startStrictS3, type StrictS3 } from '../support/strict-s3.ts'

const AFTER_THE_FIRST = [
  'bucket-versioning',
  'bucket-object-lock',
  'bucket-put',
  'bucket-head',
  'bucket-get',
  'bucket-multipart',
  'bucket-delete',
]
const READ = ['s3:GetObject', 's3:ListBucket', 's3:GetBucketVersioning', 's3:GetBucketObjectLockConfiguration']
const UPLOAD = ['s3:PutObject', 's3:AbortMultipartUpload', 's3:ListMultipartUploadParts', 's3:ListBucketMultipartUploads']

let installation: Installation
let strict: StrictS3
beforeAll(async () => {
  ;[installation, strict] = await Promise.all([openInstallation(), startStrictS3()])
})
afterAll(async () => {
  await strict?.stop()
  await installation?.close()
})

let before: object
beforeEach(async () => {
  installation.s3.reset()
  before = await installation.state()
})
afterEach(async () => {
  installation.s3.reset()
  expect(await installation.state()).toEqual(before)
})

type Changes = Record<string, string>

/** The findings about the bucket. All others must be right. */
async function examineBucket(changes: Changes, options: Parameters<typeof examine>[1] = {}): Promise<Diagnosis> {
  const env = { ...installation.env, ...changes }
  const diagnosis = await examine(env, options)
  for (const secret of [env.WASABI_ACCESS_KEY, env.WASABI_SECRET_KEY]) expect(diagnosis.output).not.toContain(secret)
  const others = diagnosis.findings.filter(({ name }) => !name.startsWith('bucket'))
  if (!options.interrupted?.aborted) expect(notOk(others)).toEqual({ 'production-settings': 'skipped' })
  return { ...diagnosis, findings: diagnosis.findings.filter(({ name }) => name.startsWith('bucket')) }
}

const skippedAll = (names: string[]): Changes => Object.fromEntries(names.map((name) => [name, 'skipped']))

test.each([
  ['the secret is wrong', { WASABI_SECRET_KEY: 'wrong-secret' }, 'WASABI_SECRET_KEY', /SignatureDoesNotMatch .*correct WASABI_SECRET_KEY/],
  [
    'the store does not know the key',
    { WASABI_ACCESS_KEY: 'wrong-access' },
    'WASABI_ACCESS_KEY',
    /(InvalidAccessKeyId|XAdminUserNotFound) .*correct WASABI_ACCESS_KEY/,
  ],
  ['the bucket does not exist', { WASABI_BUCKET: 'nowhere' }, 'WASABI_BUCKET', /NoSuchBucket .*There is no bucket nowhere/],
  ['the region is another one', { WASABI_REGION: 'eu-central-2' }, 'WASABI_REGION', /in another region than eu-central-2/],
])('When %s, then the text names the setting', async (_what, changes, setting, text) => {
  const { code, findings } = await examineBucket(changes as Changes)
  expect(findings[0]).toEqual({ name: 'bucket', result: 'error', text: expect.stringMatching(text), setting })
  expect(notOk(findings)).toEqual({ bucket: 'error', ...skippedAll(AFTER_THE_FIRST) })
  expect(code).toBe(1)
})

test('When no server is at the address, then the text names WASABI_ENDPOINT', async () => {
  const { findings } = await examineBucket({ WASABI_ENDPOINT: 'http://127.0.0.1:1' })
  const text = expect.stringMatching(/ECONNREFUSED.*Check WASABI_ENDPOINT/)
  expect(findings[0]).toEqual({ name: 'bucket', result: 'error', text, setting: 'WASABI_ENDPOINT' })
  expect(notOk(findings)).toEqual({ bucket: 'error', 'bucket-clock': 'error', ...skippedAll(AFTER_THE_FIRST) })
})

describe('When the clock of this machine differs from that of the store', () => {
  const differing = (seconds: number): string => new Date(Date.now() + seconds * 1000).toUTCString()

  test.each([
    ['20 min ahead', -1200, 'error', /is 1\d{3} s ahead of the clock of the store.*time synchronization/],
    ['20 min behind', 1200, 'error', /is 1\d{3} s behind the clock of the store/],
    ['2 min behind', 120, 'warning', /is 1\d\d s behind/],
  ])('by %s, then the text says so', async (_what, seconds, result, text) => {
    installation.s3.headHeaders = { date: differing(seconds) }
    const { findings } = await examineBucket({})
    expect(findings.find(({ name }) => name === 'bucket-clock')).toEqual({
      name: 'bucket-clock',
      result,
      text: expect.stringMatching(text),
    })
  })

  test('and the store refuses all requests, then both are said', async () => {
    const skewed = { status: 403, code: 'RequestTimeTooSkewed' }
    for (const method of ['GET', 'HEAD', 'PUT', 'POST', 'DELETE']) installation.s3.always(method, /^/, skewed)
    const { findings } = await examineBucket({})
    expect(findings[0]).toMatchObject({ name: 'bucket', result: 'error', text: expect.stringMatching(/time synchronization/) })
    expect(notOk(findings)).toMatchObject({ bucket: 'error', ...skippedAll(AFTER_THE_FIRST) })
  })
})

/** Settings for a bucket of the strict server, for a user who may do this. */
async function strictSettings(kind: 'plain' | 'versioned' | 'locked', actions?: string[]): Promise<Changes> {
  const bucket = await strict.createBucket(kind)
  const keys = actions ? await strict.createUser(bucket, actions) : strict.access
  return {
    WASABI_ENDPOINT: strict.access.endpoint,
    WASABI_REGION: strict.access.region,
    WASABI_BUCKET: bucket,
    WASABI_ACCESS_KEY: keys.accessKeyId,
    WASABI_SECRET_KEY: keys.secretAccessKey,
  }
}

describe('When the key has few rights', () => {
  const refused = (name: string) => ({ name, result: 'error', text: expect.stringMatching(/AccessDenied/), setting: 'WASABI_ACCESS_KEY' })

  test('and may only read, then the texts say that it may not store or delete', async () => {
    const { code, findings } = await examineBucket(await strictSettings('plain', READ))
    for (const name of ['bucket-put', 'bucket-multipart', 'bucket-delete']) expect(findings).toContainEqual(refused(name))
    expect(notOk(findings)).toEqual({
      'bucket-put': 'error',
      'bucket-head': 'skipped',
      'bucket-get': 'skipped',
      'bucket-multipart': 'error',
      'bucket-delete': 'error',
    })
    expect(code).toBe(1)
  })

  test('and may not delete, then the text says what remains', async () => {
    const settings = await strictSettings('plain', [...READ, ...UPLOAD])
    const { findings } = await examineBucket(settings)
    expect(notOk(findings)).toEqual({ 'bucket-delete': 'error' })
    expect(findings.at(-1)).toMatchObject({ text: expect.stringMatching(/AccessDenied.*may remain under recordings\/\.doctor\//) })
  })

  test('and may not read the rules of the bucket, then these are warnings', async () => {
    const needed = ['s3:GetObject', 's3:ListBucket', 's3:DeleteObject', ...UPLOAD]
    const { code, findings } = await examineBucket(await strictSettings('plain', needed))
    expect(notOk(findings)).toEqual({ 'bucket-versioning': 'warning', 'bucket-object-lock': 'warning' })
    expect(code).toBe(0)
  })

  test('and may not list, then the text says so, and the other rights are checked', async () => {
    const needed = [...READ.filter((each) => each !== 's3:ListBucket'), 's3:DeleteObject', ...UPLOAD]
    const { findings } = await examineBucket(await strictSettings('plain', needed))
    expect(findings[0]).toEqual(refused('bucket'))
    expect(findings).toContainEqual({ name: 'bucket-put', result: 'ok', text: 'An object can be stored.' })
  })
})

test('When the bucket keeps old versions, then this is a warning, and no version of the test objects remains', async () => {
  const settings = await strictSettings('versioned')
  const { code, findings } = await examineBucket(settings)
  expect(notOk(findings)).toEqual({ 'bucket-versioning': 'warning' })
  expect(findings.at(-1)).toMatchObject({ name: 'bucket-delete', text: expect.stringMatching(/No test object remains/) })
  expect(await strict.versionsIn(settings.WASABI_BUCKET!)).toEqual([])
  expect(code).toBe(0)
})

test('When new objects are locked, then no test object is stored, because it could not be deleted', async () => {
  const settings = await strictSettings('locked')
  const { code, findings } = await examineBucket(settings)
  expect(findings.find(({ name }) => name === 'bucket-object-lock')).toMatchObject({
    result: 'warning',
    text: expect.stringMatching(/GOVERNANCE\) keeps each new object for 30 days/),
  })
  expect(notOk(findings)).toMatchObject(skippedAll(['bucket-put', 'bucket-head', 'bucket-get', 'bucket-delete']))
  expect(findings).toContainEqual({ name: 'bucket-multipart', result: 'ok', text: expect.stringMatching(/No object was stored/) })
  expect(await strict.versionsIn(settings.WASABI_BUCKET!)).toEqual([])
  expect(code).toBe(0)
})

test('When the store reports another object than it got, then this is an error, and the object is deleted', async () => {
  installation.s3.headHeaders = { 'content-length': '7', etag: '"other"' }
  const { findings } = await examineBucket({})
  expect(notOk(findings)).toEqual({ 'bucket-head': 'error', 'bucket-multipart': 'error' })
})

describe('When the command is interrupted', () => {
  test.each([
    ['after a test object was stored', 'HEAD', /\.doctor\/[\w-]+$/],
    ['while a test object is stored', 'PUT', /\.doctor\/[\w-]+(\?x-id=PutObject)?$/],
    ['while a part of a test object is sent', 'PUT', /partNumber=/],
  ])('%s, then the object is deleted, and the exit code is 130', async (_what, method, url) => {
    const { s3 } = installation
    const { reached, release } = s3.hold(method, url)
    const interruption = new AbortController()
    const ended = examineBucket({}, { interrupted: interruption.signal })
    await reached
    interruption.abort()
    if (method === 'PUT') {
      await pause(300) // nothing must happen
      expect(s3.requests.filter((request) => request.method === 'DELETE')).toEqual([])
    }
    release()
    const { code, findings } = await ended
    expect(code).toBe(130)
    expect(findings.at(-1)).toMatchObject({ name: 'bucket-delete', result: 'ok' })
    expect(findings.filter(({ text }) => /interrupted/.test(text)).length).toBeGreaterThan(0)
  })
})
