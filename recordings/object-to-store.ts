// What an upload needs to know: the object, the control of its transfer, and the condition under which the store accepts it.
import type { PutObjectCommandInput } from '@aws-sdk/client-s3'

export interface ObjectToStore {
  key: string
  path: string
  bytes: number
  sha256: string
  /** As S3 will give it, see {@link digestFile}. */
  etag: string
  contentType: string
  metadata: Record<string, string>
}

export interface TransferControl {
  signal: AbortSignal
  onProgress: (bytes: number) => void
  /** Nobody wants the object any more; false while the signal only stops this attempt. */
  isCancelled: () => boolean
}

/** Of a request that stores an object: only where there is none, or only in place of the one with this ETag. */
export type PutCondition = Pick<PutObjectCommandInput, 'IfNoneMatch' | 'IfMatch'>
