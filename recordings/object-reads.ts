// How an object is looked at, for the store that confirms it and for the inventory that finds it later.
import { GetObjectCommand, HeadObjectCommand, NotFound, NoSuchKey, type HeadObjectCommandOutput, type S3Client } from '@aws-sdk/client-s3'
import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import { timedChunks, type Pace } from './timed-chunks.ts'

interface Place {
  Bucket: string
  Key: string
}

/** Of an object that is read back. */
const OBJECT_PACE: Pace = { idleMs: 60_000, baseMs: 60_000, msPerMb: 1000 }

/** With the checksums that the server has. Undefined: there is no such object. */
export async function headObject(client: S3Client, place: Place, abortSignal: AbortSignal): Promise<HeadObjectCommandOutput | undefined> {
  try {
    return await client.send(new HeadObjectCommand({ ...place, ChecksumMode: 'ENABLED' }), { abortSignal })
  } catch (error) {
    if (error instanceof NotFound || error instanceof NoSuchKey) return undefined
    throw error
  }
}

/** Reads all its bytes: their SHA-256, hex, and the object's content type. `onProgress` is told the bytes read so far. */
export async function hashObject(
  client: S3Client,
  place: Place,
  abortSignal: AbortSignal,
  onProgress: (bytes: number) => void,
  pace = OBJECT_PACE,
): Promise<{ sha256: string; contentType: string | undefined }> {
  const { Body, ContentType } = await client.send(new GetObjectCommand(place), { abortSignal })
  const sha256 = createHash('sha256')
  let bytes = 0
  const body = Body as Readable // in Node the SDK returns the response itself
  for await (const chunk of timedChunks(body, pace)) {
    sha256.update(chunk)
    onProgress((bytes += chunk.length))
  }
  return { sha256: sha256.digest('hex'), contentType: ContentType }
}
