// The four steps of a recording in their plainest form. All baselines use them, so that they differ only in their engine.
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { fileTypeFromFile } from 'file-type'
import { parseFile } from 'music-metadata'
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { unlink } from 'node:fs/promises'
import { Agent as HttpAgent } from 'node:http'
import { join } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import pg from 'pg'
import { Agent, request } from 'undici'
import type { BaselineSettings } from './settings.ts'

export interface Downloaded {
  callSid: string
  path: string
  bytes: number
  sha256: string
}

export interface Steps {
  download(callSid: string): Promise<Downloaded>
  /** Detects the file type and reads the duration with common libraries. */
  validate(file: Downloaded): Promise<Downloaded>
  upload(file: Downloaded): Promise<Downloaded>
  update(file: Downloaded): Promise<void>
}

const CONNECTIONS = 64
const READ_BYTES = 256 * 1024

export function createSteps({ sourceUrl, folder, spool, databaseUrl, s3 }: BaselineSettings): Steps {
  const agent = new Agent({ connections: CONNECTIONS })
  const { endpoint, region, bucket, ...credentials } = s3
  const client = new S3Client({
    endpoint,
    region,
    credentials,
    forcePathStyle: true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: new NodeHttpHandler({ httpAgent: new HttpAgent({ keepAlive: true, maxSockets: CONNECTIONS }) }),
  })
  const database = new pg.Pool({ connectionString: databaseUrl, max: 10 })

  return {
    async download(callSid) {
      const path = join(spool, callSid)
      const { statusCode, headers, body } = await request(`${sourceUrl}/${folder}/${callSid}`, { dispatcher: agent })
      if (statusCode !== 200) throw new Error(`The source responded with ${statusCode}`)
      const hash = createHash('sha256')
      let bytes = 0
      const count = new Transform({
        transform(chunk: Buffer, _, done) {
          bytes += chunk.length
          hash.update(chunk)
          done(null, chunk)
        },
      })
      await pipeline(body, count, createWriteStream(path))
      if (bytes !== Number(headers['content-length'])) throw new Error('The download is incomplete')
      return { callSid, path, bytes, sha256: hash.digest('hex') }
    },
    async validate(file) {
      const type = await fileTypeFromFile(file.path)
      if (!type?.mime.startsWith('audio/')) throw new Error('The file is not audio')
      const { format } = await parseFile(file.path, { duration: true, skipCovers: true, skipPostHeaders: true })
      if (!format.duration) throw new Error('The file has no duration')
      return file
    },
    async upload(file) {
      await putFile(client, bucket, file)
      await unlink(file.path)
      return file
    },
    async update({ callSid, bytes, sha256 }) {
      await database.query({
        name: 'update',
        text: `UPDATE bench_calls SET state = 'stored', bytes = $2, sha256 = $3, updated_at = now() WHERE call_sid = $1`,
        values: [callSid, bytes, sha256],
      })
    },
  }
}

async function putFile(client: S3Client, bucket: string, { callSid, path, bytes, sha256 }: Downloaded): Promise<void> {
  const Body = createReadStream(path, { highWaterMark: READ_BYTES })
  await client.send(
    new PutObjectCommand({
      Bucket: bucket,
      Key: `bench/${callSid}`,
      Body,
      ContentLength: bytes,
      ContentType: 'audio/mpeg',
      Metadata: { sha256 },
    }),
  )
}
