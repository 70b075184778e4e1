// Uploads large files in parts, so that an interrupted upload can resume. ListParts returns the parts that are stored already.
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  UploadPartCommand,
  type ListMultipartUploadsCommandOutput,
  type MultipartUpload,
  type S3Client,
} from '@aws-sdk/client-s3'
import type { PartDigest } from './digests.ts'
import { withFileBody } from './file-body.ts'
import { signContent } from './sign-content.ts'
import { isConflict, ObjectMismatch } from './store-errors.ts'
import type { ObjectToStore, PutCondition, TransferControl } from './object-to-store.ts'

interface Target {
  Bucket: string
  Key: string
  ContentType: string
  Metadata: Record<string, string>
}

interface Part {
  PartNumber: number
  ETag: string
}

/**
 * Sends the missing parts and completes the upload. Parts of an earlier attempt are reused if their bytes are the same. An attempt
 * that timed out may still send parts of the same upload. These parts are equal, and the attempt that completes the upload first
 * stores the object for both. The upload is aborted if its attempt is cancelled or if another object has the key: its parts are no
 * longer needed, are not visible, and cost money.
 * @param beforeStored runs after all parts were sent; if it rejects, the object is not stored
 */
export async function uploadMultipart(
  client: S3Client,
  { condition, beforeStored, ...target }: Target & { condition: PutCondition; beforeStored: () => Promise<void> },
  { path, bytes, parts: digests = [] }: ObjectToStore,
  partBytes: number,
  control: TransferControl,
): Promise<void> {
  const place = { Bucket: target.Bucket, Key: target.Key }
  const UploadId = (await openUpload(client, place, control.signal)) ?? (await createUpload(client, target, control.signal))
  try {
    const parts = await sendMissingParts(UploadId)
    await beforeStored()
    const command = new CompleteMultipartUploadCommand({ ...place, ...condition, UploadId, MultipartUpload: { Parts: parts } })
    await client.send(command, { abortSignal: control.signal })
  } catch (error) {
    // Best effort: garbage collection aborts what remains.
    if (control.isCancelled() || isConflict(error) || error instanceof ObjectMismatch)
      await client.send(new AbortMultipartUploadCommand({ ...place, UploadId })).catch(() => {})
    throw error
  }

  async function sendMissingParts(UploadId: string): Promise<Part[]> {
    const storedParts = await partsOf(client, place, UploadId, control.signal)
    const parts: Part[] = []
    for (let start = 0, PartNumber = 1; start < bytes; start += partBytes, PartNumber += 1) {
      const slice = { start, end: Math.min(start + partBytes, bytes) - 1 }
      const digest = digests[PartNumber - 1]!
      const expected = `"${digest.md5}"`
      // CompleteMultipartUpload needs the ETag that the store returned for the part, even if it is not an MD5.
      const ETag = storedParts.get(PartNumber) === digest.md5 ? expected : await sendPart(UploadId, PartNumber, slice, digest)
      parts.push({ PartNumber, ETag: ETag ?? expected })
      control.onProgress(slice.end + 1)
    }
    return parts
  }

  function sendPart(
    UploadId: string,
    PartNumber: number,
    slice: { start: number; end: number },
    { md5, sha256 }: PartDigest,
  ): Promise<string | undefined> {
    return withFileBody(path, slice, control.signal, async (Body, abortSignal) => {
      const ContentLength = slice.end - slice.start + 1
      const command = new UploadPartCommand({
        ...place,
        UploadId,
        PartNumber,
        Body,
        ContentLength,
        ContentMD5: Buffer.from(md5, 'hex').toString('base64'),
      })
      return (await client.send(signContent(command, sha256), { abortSignal })).ETag
    })
  }
}

/** Aborts all open uploads of a key. Its object is stored, so their parts are not needed. */
export async function abortUploads(client: S3Client, place: { Bucket: string; Key: string }, signal: AbortSignal): Promise<void> {
  for await (const { Key, UploadId } of openUploads(client, place.Bucket, place.Key, signal)) {
    if (Key === place.Key) await client.send(new AbortMultipartUploadCommand({ ...place, UploadId }), { abortSignal: signal })
  }
}

/**
 * Aborts uploads that were started before `olderThan` and never completed. If the object is still needed, the next attempt starts a
 * new upload.
 * @returns the number of aborted uploads
 */
export async function abortOldUploads(client: S3Client, Bucket: string, olderThan: Date, signal: AbortSignal): Promise<number> {
  let aborted = 0
  for await (const { Key, UploadId, Initiated } of openUploads(client, Bucket, '', signal)) {
    if (!Key || !/^(recordings|quarantine)\//.test(Key) || !Initiated || Initiated >= olderThan) continue
    await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }))
    aborted += 1
  }
  return aborted
}

async function openUpload(
  client: S3Client,
  { Bucket, Key }: { Bucket: string; Key: string },
  signal: AbortSignal,
): Promise<string | undefined> {
  for await (const upload of openUploads(client, Bucket, Key, signal)) if (upload.Key === Key) return upload.UploadId
  return undefined
}

async function* openUploads(client: S3Client, Bucket: string, Prefix: string, abortSignal: AbortSignal): AsyncGenerator<MultipartUpload> {
  let marker: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } | undefined = {}
  while (marker) {
    const command = new ListMultipartUploadsCommand({ Bucket, Prefix, ...marker })
    const page: ListMultipartUploadsCommandOutput = await client.send(command, { abortSignal })
    yield* page.Uploads ?? []
    marker = page.IsTruncated && page.NextKeyMarker ? { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker } : undefined
  }
}

async function createUpload(client: S3Client, target: Pick<Target, 'Bucket' | 'Key'>, abortSignal: AbortSignal): Promise<string> {
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(target), { abortSignal })
  if (!UploadId) throw new Error('The response of S3 to CreateMultipartUpload has no UploadId')
  return UploadId
}

async function partsOf(
  client: S3Client,
  place: { Bucket: string; Key: string },
  UploadId: string,
  abortSignal: AbortSignal,
): Promise<Map<number, string>> {
  const parts = new Map<number, string>()
  let PartNumberMarker: string | undefined
  do {
    const page = await client.send(new ListPartsCommand({ ...place, UploadId, PartNumberMarker }), { abortSignal })
    for (const { PartNumber, ETag } of page.Parts ?? []) if (PartNumber && ETag) parts.set(PartNumber, ETag.replaceAll('"', ''))
    PartNumberMarker = page.IsTruncated ? page.NextPartNumberMarker : undefined
  } while (PartNumberMarker)
  return parts
}

/** Sends a few bytes as a part of an upload, which is then aborted. Shows that the store accepts writes, and leaves no object. */
export async function probeUpload(client: S3Client, place: { Bucket: string; Key: string }, abortSignal: AbortSignal): Promise<void> {
  const UploadId = await createUpload(client, place, abortSignal)
  try {
    await client.send(new UploadPartCommand({ ...place, UploadId, PartNumber: 1, Body: 'probe' }), { abortSignal })
  } finally {
    await client.send(new AbortMultipartUploadCommand({ ...place, UploadId }), { abortSignal })
  }
}
