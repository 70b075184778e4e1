// What an S3 error means for the upload behind it. By code, not by status alone: stores throttle with 400s as well as 503s.
import { S3ServiceException } from '@aws-sdk/client-s3'

/**
 * `service`: the store is away or overloaded: wait. `setup`: bucket, credentials, region or clock are wrong: wait, and alarm
 * somebody. `refusal`: of this object or of everything, which a look at another one tells. `object`: something about this one
 * alone, such as a checksum that differs.
 */
export interface StoreFault {
  of: 'service' | 'setup' | 'refusal' | 'object'
  reason: string
}

/** The breaker is open: nothing was sent. */
export class StoreUnavailable extends Error {}
/** The store says that more objects follow, and does not list them. */
export class ListBroken extends Error {}
/** The bucket took the object, but what it holds is not what we sent. */
export class ObjectMismatch extends Error {}

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
  if (error instanceof ObjectMismatch) return { of: 'object', reason: error.message }
  if (error instanceof StoreUnavailable || error instanceof ListBroken) return { of: 'service', reason: error.message }
  if (!(error instanceof S3ServiceException))
    return { of: 'service', reason: error instanceof Error ? `${error.name}: ${error.message}` : String(error) }
  const status = error.$metadata.httpStatusCode
  if (CLOCK_CODES.has(error.name)) return { of: 'setup', reason: `${error.name}: this machine's clock differs from the store's` }
  const reason = `${error.name} (HTTP ${status})` // the store's text may hold the access key
  // A HEAD has no body: its errors are known by their status alone.
  if (SETUP_CODES.has(error.name) || status === 301) return { of: 'setup', reason }
  if (status === 403) return { of: 'refusal', reason }
  return { of: OBJECT_CODES.has(error.name) ? 'object' : 'service', reason }
}

/** The store does not know `If-None-Match`. */
export function isNotImplemented(error: unknown): boolean {
  return error instanceof S3ServiceException && error.$metadata.httpStatusCode === 501
}

/** Somebody else put or is putting an object under this key. */
export function isConflict(error: unknown): boolean {
  return error instanceof S3ServiceException && (error.$metadata.httpStatusCode === 412 || error.$metadata.httpStatusCode === 409)
}
