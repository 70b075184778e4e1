import { S3Client } from '@aws-sdk/client-s3'
import { Agent } from 'node:https'
import { Agent as HttpAgent } from 'node:http'
import type { Config } from '../platform/config.ts'
import { S3Handler, type RequestDeadline } from './s3-handler.ts'

export interface StoreSettings {
  endpoint: string
  region: string
  bucket: string
  accessKeyId: string
  secretAccessKey: string
  /** Uploads side by side: no more sockets than these need. */
  connections: number
}

/** The bucket and its keys, as the settings name them. */
export function storeSettings(
  config: Pick<Config, 'WASABI_ENDPOINT' | 'WASABI_REGION' | 'WASABI_BUCKET' | 'WASABI_ACCESS_KEY' | 'WASABI_SECRET_KEY'>,
): Omit<StoreSettings, 'connections'> {
  return {
    endpoint: config.WASABI_ENDPOINT,
    region: config.WASABI_REGION,
    bucket: config.WASABI_BUCKET,
    accessKeyId: config.WASABI_ACCESS_KEY,
    secretAccessKey: config.WASABI_SECRET_KEY,
  }
}

const CONNECT_TIMEOUT_MS = 5000
const IDLE_TIMEOUT_MS = 60_000
const DEADLINE: RequestDeadline = { baseMs: 60_000, msPerMb: 1000 }

/** The SDK writes its own opinion of failed streams to the console; ours says more. */
const SILENT = { trace() {}, debug() {}, info() {}, warn() {}, error() {} }

export function createS3Client(
  { endpoint, region, accessKeyId, secretAccessKey, connections }: StoreSettings,
  deadline = DEADLINE,
): S3Client {
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
    requestHandler: new S3Handler(
      {
        connectionTimeout: CONNECT_TIMEOUT_MS,
        socketTimeout: IDLE_TIMEOUT_MS,
        httpsAgent: new Agent(agents),
        httpAgent: new HttpAgent(agents),
      },
      deadline,
    ),
  })
}
