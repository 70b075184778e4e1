// What an S3 error means for the upload behind it. By code, not by status alone: stores throttle with 400s as well as 503s.
import { S3ServiceException } from '@aws-sdk/client-s3'

/**
 * `service`: the store is away or overloaded, or its answer makes no sense: wait. `setup`: bucket, credentials, region or
 * clock are wrong: wait, and alarm somebody.
 */
export interface StoreTrouble {
  of: 'service' | 'setup'
  reason: string
}

const SETUP_CODES = new Set([
  'NoSuchBucket',
  'AccessDenied',
  'Forbidden',
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
const CLOCK_CODES = new Set(['RequestTimeTooSkewed', 'RequestExpired'])

export function classifyStoreError(error: unknown): StoreTrouble {
  if (!(error instanceof S3ServiceException))
    return { of: 'service', reason: error instanceof Error ? `${error.name}: ${error.message}` : String(error) }
  const status = error.$metadata.httpStatusCode
  if (CLOCK_CODES.has(error.name)) return { of: 'setup', reason: `${error.name}: this machine's clock differs from the store's` }
  // A HEAD has no body: its errors are known by their status alone.
  if (SETUP_CODES.has(error.name) || status === 403 || status === 301)
    return { of: 'setup', reason: `${error.name}: ${error.message} (HTTP ${status})` }
  return { of: 'service', reason: `${error.name}: ${error.message} (HTTP ${status})` }
}

/** Somebody else put or is putting an object under this key. */
export function isConflict(error: unknown): boolean {
  return error instanceof S3ServiceException && (error.$metadata.httpStatusCode === 412 || error.$metadata.httpStatusCode === 409)
}
