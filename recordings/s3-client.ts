import { S3Client } from '@aws-sdk/client-s3'
import { Agent } from 'node:https'
import { Agent as HttpAgent } from 'node:http'

export interface StoreSettings {
  endpoint: string
  region: string
  bucket: string
  accessKeyId: string
  secretAccessKey: string
  /** Uploads side by side: no more sockets than these need. */
  connections: number
}

const CONNECT_TIMEOUT_MS = 5000
const REQUEST_TIMEOUT_MS = 60_000

/** The SDK writes its own opinion of failed streams to the console; ours says more. */
const SILENT = { trace() {}, debug() {}, info() {}, warn() {}, error() {} }

export function createS3Client({ endpoint, region, accessKeyId, secretAccessKey, connections }: StoreSettings): S3Client {
  const agents = { maxSockets: connections, keepAlive: true }
  return new S3Client({
    endpoint,
    region,
    credentials: { accessKeyId, secretAccessKey },
    forcePathStyle: true,
    // Trailing checksums are refused, or stored as content, by some stores; ours goes into the signature instead.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // A stream cannot be sent twice, so the SDK must not try: the activity does, from the file.
    maxAttempts: 1,
    logger: SILENT,
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      socketTimeout: REQUEST_TIMEOUT_MS,
      httpsAgent: new Agent(agents),
      httpAgent: new HttpAgent(agents),
    },
  })
}
