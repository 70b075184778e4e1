// The inputs of an upload: the object, the control of its transfer, and the condition under which S3 stores it.
import type { PutObjectCommandInput } from '@aws-sdk/client-s3'
import type { PartDigest } from './digests.ts'

export interface ObjectToStore {
  key: string
  path: string
  bytes: number
  sha256: string
  /** The ETag that S3 will compute, see {@link Digests}. */
  etag: string
  /** The parts of the file if it is uploaded in parts. */
  parts?: PartDigest[]
  contentType: string
  metadata: Record<string, string>
}

export interface TransferControl {
  signal: AbortSignal
  onProgress: (bytes: number) => void
  /** True if the workflow cancelled the upload. False if the signal stops only this attempt, for example at a shutdown. */
  isCancelled: () => boolean
}

/** The condition of a request that stores an object: only if no object has the key, or only if the existing object has this ETag. */
export type PutCondition = Pick<PutObjectCommandInput, 'IfNoneMatch' | 'IfMatch'>
