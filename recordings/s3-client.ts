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
  /** The maximum number of sockets: one for each concurrent upload. */
  connections: number
}

/** Reads the bucket and its credentials from the configuration. */
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

/** By default, the SDK logs failed streams to the console. Our own log messages contain more detail. */
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
    // Some stores refuse trailing checksums, or store them as content. The SHA-256 of the body is in the signature instead.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // A stream cannot be sent twice, so the SDK must not retry. The activity retries, and reads the file again.
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
