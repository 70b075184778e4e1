import { CreateBucketCommand, HeadBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { binaries } from './fetch-servers.mjs'
import type { Supervisor } from './supervisor.ts'
import { freePort, waitForPort } from './ports.ts'

export interface S3Access {
  endpoint: string
  region: string
  accessKeyId: string
  secretAccessKey: string
}

/** Starts versitygw. It stores objects as files in `home/objects` and their metadata in `home/sidecar`. */
export async function startS3(
  supervisor: Supervisor,
  { home, port: wanted, keys }: { home: string; port: number; keys: Pick<S3Access, 'accessKeyId' | 'secretAccessKey'> },
): Promise<S3Access> {
  const port = await freePort(wanted)
  const [objects, sidecar] = [join(home, 'objects'), join(home, 'sidecar')]
  for (const folder of [objects, sidecar]) mkdirSync(folder, { recursive: true })
  const child = supervisor.start({
    name: 's3',
    file: binaries.versitygw(),
    args: ['--port', `127.0.0.1:${port}`, 'posix', '--sidecar', sidecar, objects],
    env: { ...process.env, ROOT_ACCESS_KEY: keys.accessKeyId, ROOT_SECRET_KEY: keys.secretAccessKey },
    stopSignal: 'SIGTERM',
  })
  await waitForPort(port, child, 'The S3 server')
  return { endpoint: `http://127.0.0.1:${port}`, region: 'us-east-1', ...keys }
}

export async function ensureBucket(access: S3Access, bucket: string): Promise<void> {
  await withClient(access, (client) => client.send(new CreateBucketCommand({ Bucket: bucket }))).catch((error: Error) => {
    if (!/BucketAlready/.test(error.name)) throw error
  })
}

/** For a server that is named in the environment: checks the bucket and does not create it. */
export function assertBucket(access: S3Access, bucket: string): Promise<unknown> {
  return withClient(access, (client) => client.send(new HeadBucketCommand({ Bucket: bucket })))
}

async function withClient<T>({ endpoint, region, ...credentials }: S3Access, use: (client: S3Client) => Promise<T>): Promise<T> {
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true, requestHandler: { connectionTimeout: 5000 } })
  return use(client).finally(() => client.destroy())
}
