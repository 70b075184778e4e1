// Reads the metadata and the bytes of an object: for the store, which confirms uploads, and for the checks of objects.
import { GetObjectCommand, HeadObjectCommand, NotFound, NoSuchKey, type HeadObjectCommandOutput, type S3Client } from '@aws-sdk/client-s3'
import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import { timedChunks, type Pace } from './timed-chunks.ts'

interface Place {
  Bucket: string
  Key: string
}

/** The minimum pace at which an object must arrive when it is read back. */
const OBJECT_PACE: Pace = { idleMs: 60_000, baseMs: 60_000, msPerMb: 1000 }

/** The metadata of an object with the checksums that the server has, or undefined if the object does not exist. */
export async function headObject(client: S3Client, place: Place, abortSignal: AbortSignal): Promise<HeadObjectCommandOutput | undefined> {
  try {
    return await client.send(new HeadObjectCommand({ ...place, ChecksumMode: 'ENABLED' }), { abortSignal })
  } catch (error) {
    if (error instanceof NotFound || error instanceof NoSuchKey) return undefined
    throw error
  }
}

/** Yields the bytes of the object. The request is sent when the first bytes are read. */
export async function* readObject(client: S3Client, place: Place, abortSignal: AbortSignal): AsyncGenerator<Buffer> {
  const { Body } = await client.send(new GetObjectCommand(place), { abortSignal })
  yield* timedChunks(Body as Readable, OBJECT_PACE) // in Node the SDK returns the response itself
}

/** Reads the whole object. Returns its SHA-256 (hex) and its content type. `onProgress` receives the bytes read so far. */
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
