// Classifies S3 errors by their code, not by the HTTP status alone: stores throttle with status 400 as well as 503.
import { S3ServiceException } from '@aws-sdk/client-s3'

/**
 * `service`: the store is unavailable or overloaded; the upload waits. `setup`: the bucket, credentials, region or clock are wrong;
 * the upload waits and an alarm is raised. `refusal`: the store refuses this object or all objects; a request for another object
 * shows which. `object`: the error concerns only this object, for example a different checksum.
 */
export interface StoreFault {
  of: 'service' | 'setup' | 'refusal' | 'object'
  reason: string
}

/** The circuit breaker is open, so no request was sent. */
export class StoreUnavailable extends Error {}
/** The store reports that more objects follow, but does not list them. */
export class ListBroken extends Error {}
/** The stored object differs from the bytes that were sent, or foreign objects have its keys. */
export class ObjectMismatch extends Error {}
/** The store refuses to return one object, and answers requests for others. So somebody else owns that object, or encrypted it with another key. */
export class ObjectUnreadable extends Error {}

const SETUP_CODES = new Set([
  'NoSuchBucket',
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'PermanentRedirect',
  'AuthorizationHeaderMalformed',
  'InvalidBucketName',
  'AllAccessDisabled',
  'AccountProblem',
  'InvalidSecurity',
  'ExpiredToken',
])
const OBJECT_CODES = new Set(['BadDigest', 'InvalidDigest', 'XAmzContentSHA256Mismatch', 'EntityTooLarge', 'NoSuchUpload', 'InvalidPart'])
const CLOCK_CODES = new Set(['RequestTimeTooSkewed', 'RequestExpired'])

export function classifyStoreError(error: unknown): StoreFault {
  if (error instanceof ObjectMismatch || error instanceof ObjectUnreadable) return { of: 'object', reason: error.message }
  if (error instanceof StoreUnavailable || error instanceof ListBroken) return { of: 'service', reason: error.message }
  if (!(error instanceof S3ServiceException))
    return { of: 'service', reason: error instanceof Error ? `${error.name}: ${error.message}` : String(error) }
  const status = error.$metadata.httpStatusCode
  if (CLOCK_CODES.has(error.name))
    return {
      of: 'setup',
      reason: `${error.name}: the clock of this machine differs from the clock of the store; check the time synchronization`,
    }
  const reason = `${error.name} (HTTP ${status})` // the message of the store may contain the access key
  // The response to a HEAD has no body, so only its status is known.
  if (SETUP_CODES.has(error.name) || status === 301) return { of: 'setup', reason }
  if (status === 403) return { of: 'refusal', reason }
  return { of: OBJECT_CODES.has(error.name) ? 'object' : 'service', reason }
}

const THROTTLED = /Rate|SlowDown|Throttl|Timeout/

/** The store refuses to return an object or its metadata: 403 if somebody else owns it, 400 if it is encrypted with a key that we lack. */
export function isReadRefused(error: unknown): boolean {
  const { of } = classifyStoreError(error)
  const isBadRequest = error instanceof S3ServiceException && error.$metadata.httpStatusCode === 400 && !THROTTLED.test(error.name)
  return of === 'refusal' || (of === 'service' && isBadRequest)
}

/** The store does not implement the condition of the request (`If-None-Match` or `If-Match`). */
export function isNotImplemented(error: unknown): boolean {
  return error instanceof S3ServiceException && error.$metadata.httpStatusCode === 501
}

/** The condition failed, or another upload is storing an object under the same key. */
export function isConflict(error: unknown): boolean {
  return error instanceof S3ServiceException && (error.$metadata.httpStatusCode === 412 || error.$metadata.httpStatusCode === 409)
}
