// Files above 1 GB go up in parts, so that a broken upload goes on where it was: ListParts tells what is there already.
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
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { PART_BYTES } from './digests.ts'
import { withFileBody } from './file-body.ts'
import { signContent } from './sign-content.ts'
import type { ObjectToStore, TransferControl } from './store.ts'

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

/** Sends what is missing and completes the upload; parts of an earlier try count where their bytes are ours. */
export async function putInParts(
  client: S3Client,
  target: Target,
  { path, bytes }: ObjectToStore,
  control: TransferControl,
): Promise<void> {
  const place = { Bucket: target.Bucket, Key: target.Key }
  const UploadId = (await openUpload(client, place)) ?? (await createUpload(client, target))
  const there = await partsOf(client, place, UploadId)
  const parts: Part[] = []
  for (let start = 0, PartNumber = 1; start < bytes; start += PART_BYTES, PartNumber += 1) {
    const slice = { start, end: Math.min(start + PART_BYTES, bytes) - 1 }
    const { md5, sha256 } = await digestSlice(path, slice, control.signal)
    const expected = `"${md5.toString('hex')}"`
    // The store's own word for a part is what it wants to hear again, also where it is no MD5.
    const ETag = there.get(PartNumber) === md5.toString('hex') ? expected : await sendPart(PartNumber, slice, md5, sha256)
    parts.push({ PartNumber, ETag: ETag ?? expected })
    control.onProgress(slice.end + 1)
  }
  await client.send(new CompleteMultipartUploadCommand({ ...place, UploadId, MultipartUpload: { Parts: parts } }), {
    abortSignal: control.signal,
  })

  function sendPart(PartNumber: number, slice: { start: number; end: number }, md5: Buffer, sha256: string): Promise<string | undefined> {
    return withFileBody(path, slice, control.signal, async (Body, abortSignal) => {
      const ContentLength = slice.end - slice.start + 1
      const command = new UploadPartCommand({ ...place, UploadId, PartNumber, Body, ContentLength, ContentMD5: md5.toString('base64') })
      return (await client.send(signContent(command, sha256), { abortSignal })).ETag
    })
  }
}

/** The upload's parts are of no use any more: nobody sees them, but everybody pays. */
export async function abandonUpload(client: S3Client, place: { Bucket: string; Key: string }): Promise<void> {
  const UploadId = await openUpload(client, place)
  if (UploadId) await client.send(new AbortMultipartUploadCommand({ ...place, UploadId }))
}

/**
 * Ends uploads that nobody has completed for a long time. One that is still wanted starts anew.
 * @returns how many were ended
 */
export async function sweepUploads(client: S3Client, Bucket: string, olderThan: Date): Promise<number> {
  let swept = 0
  for await (const { Key, UploadId, Initiated } of openUploads(client, Bucket, '')) {
    if (!Key || !/^(recordings|quarantine)\//.test(Key) || !Initiated || Initiated >= olderThan) continue
    await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }))
    swept += 1
  }
  return swept
}

async function openUpload(client: S3Client, { Bucket, Key }: { Bucket: string; Key: string }): Promise<string | undefined> {
  for await (const upload of openUploads(client, Bucket, Key)) if (upload.Key === Key) return upload.UploadId
  return undefined
}

async function* openUploads(client: S3Client, Bucket: string, Prefix: string): AsyncGenerator<MultipartUpload> {
  let marker: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } | undefined = {}
  while (marker) {
    const page: ListMultipartUploadsCommandOutput = await client.send(new ListMultipartUploadsCommand({ Bucket, Prefix, ...marker }))
    yield* page.Uploads ?? []
    marker = page.IsTruncated ? { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker } : undefined
  }
}

async function createUpload(client: S3Client, target: Target): Promise<string> {
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(target))
  if (!UploadId) throw new Error('The store began an upload without an id')
  return UploadId
}

async function partsOf(client: S3Client, place: { Bucket: string; Key: string }, UploadId: string): Promise<Map<number, string>> {
  const there = new Map<number, string>()
  let PartNumberMarker: string | undefined
  do {
    const page = await client.send(new ListPartsCommand({ ...place, UploadId, PartNumberMarker }))
    for (const { PartNumber, ETag } of page.Parts ?? []) if (PartNumber && ETag) there.set(PartNumber, ETag.replaceAll('"', ''))
    PartNumberMarker = page.IsTruncated ? page.NextPartNumberMarker : undefined
  } while (PartNumberMarker)
  return there
}

async function digestSlice(
  path: string,
  slice: { start: number; end: number },
  signal: AbortSignal,
): Promise<{ md5: Buffer; sha256: string }> {
  const [md5, sha256] = [createHash('md5'), createHash('sha256')]
  for await (const chunk of createReadStream(path, { ...slice, signal, highWaterMark: 1024 ** 2 }) as AsyncIterable<Buffer>) {
    md5.update(chunk)
    sha256.update(chunk)
  }
  return { md5: md5.digest(), sha256: sha256.digest('hex') }
}

/** Begins an upload and ends it: whether we may write, without writing anything. */
export async function tryUpload(client: S3Client, place: { Bucket: string; Key: string }): Promise<void> {
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(place))
  await client.send(new AbortMultipartUploadCommand({ ...place, UploadId }))
}
