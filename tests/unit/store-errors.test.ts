// What an error of the store says: the store is unavailable, the settings are wrong, or one object is refused.
import { S3ServiceException } from '@aws-sdk/client-s3'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { ReadStream } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { withFileBody } from '../../recordings/file-body.ts'
import { classifyStoreError } from '../../recordings/store-errors.ts'

test.each([
  [400, 'AuthorizationHeaderMalformed', 'setup'],
  [400, 'ExpiredToken', 'setup'],
  [400, 'InvalidBucketName', 'setup'],
  [403, 'InvalidAccessKeyId', 'setup'],
  [403, 'SignatureDoesNotMatch', 'setup'],
  [403, 'AccountProblem', 'setup'],
  [403, 'AllAccessDisabled', 'setup'],
  [403, 'InvalidSecurity', 'setup'],
  [404, 'NoSuchBucket', 'setup'],
  [301, 'PermanentRedirect', 'setup'],
  [301, 'UnknownError', 'setup'], // the response to a HEAD
  [403, 'RequestTimeTooSkewed', 'setup'],
  [400, 'RequestExpired', 'setup'],
  [403, 'AccessDenied', 'refusal'],
  [403, 'UnknownError', 'refusal'],
  [400, 'BadDigest', 'object'],
  [400, 'InvalidDigest', 'object'],
  [400, 'XAmzContentSHA256Mismatch', 'object'],
  [400, 'EntityTooLarge', 'object'],
  [404, 'NoSuchUpload', 'object'],
  [400, 'InvalidPart', 'object'],
  [400, 'RequestTimeout', 'service'],
  [400, 'UnknownError', 'service'],
  [500, 'InternalError', 'service'],
  [503, 'SlowDown', 'service'],
])('When the store answers %i %s, then the fault is of: %s', (httpStatusCode, name, of) => {
  const message = 'The key AKIAEXAMPLE is not known'
  const error = new S3ServiceException({ name, message, $fault: 'client', $metadata: { httpStatusCode } })
  const fault = classifyStoreError(error)
  expect(fault.of).toBe(of)
  expect(fault.reason).toContain(name)
  expect(fault.reason).not.toContain('AKIAEXAMPLE')
})

test('When a request with a file fails before the file was read, then the file is closed', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'body-'))
  const path = join(folder, 'recording')
  writeFileSync(path, Buffer.alloc(1024 ** 2))
  let sent: ReadStream | undefined
  const refused = withFileBody(path, undefined, new AbortController().signal, async (body) => {
    sent = body
    throw new Error('ECONNREFUSED')
  })
  await expect(refused).rejects.toThrow('ECONNREFUSED')
  expect(sent!.destroyed).toBe(true) // otherwise each failed upload would keep a file descriptor
  rmSync(folder, { recursive: true })
})
