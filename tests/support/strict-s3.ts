// An S3 server with users, bucket policies, versioning and object lock, which the server of the test run does not have.
import {
  CreateBucketCommand,
  ListObjectVersionsCommand,
  PutBucketPolicyCommand,
  PutBucketVersioningCommand,
  PutObjectLockConfigurationCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { execFile as execFileCallback } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { binaries } from '../../dev/fetch-servers.mjs'
import { freePort, waitForPort } from '../../dev/ports.ts'
import type { S3Access } from '../../dev/s3-server.ts'
import { Supervisor } from '../../dev/supervisor.ts'
import { home, uniqueName } from './servers.ts'

type Keys = Pick<S3Access, 'accessKeyId' | 'secretAccessKey'>

export interface StrictS3 {
  /** Of an administrator. */
  access: S3Access
  createBucket(kind: 'plain' | 'versioned' | 'locked'): Promise<string>
  /** Creates a user who may do this in the bucket, and nothing else. */
  createUser(bucket: string, actions: string[]): Promise<Keys>
  /** All versions of all objects, and the marks of deleted ones. */
  versionsIn(bucket: string): Promise<string[]>
  stop(): Promise<void>
}

const ADMINISTRATOR = { accessKeyId: 'administrator', secretAccessKey: 'secret-of-the-administrator' }
const LOCKED_DAYS = 30

export async function startStrictS3(): Promise<StrictS3> {
  const place = join(home, uniqueName('strict-s3'))
  const [objects, sidecar, versions, users] = ['objects', 'sidecar', 'versions', 'users'].map((name) => join(place, name))
  for (const folder of [objects!, sidecar!, versions!, users!]) mkdirSync(folder, { recursive: true })
  mkdirSync(join(place, 'logs'))
  const port = await freePort(0)
  const supervisor = new Supervisor(place)
  const child = supervisor.start({
    name: 's3',
    file: binaries.versitygw(),
    args: ['--port', `127.0.0.1:${port}`, '--iam-dir', users!, 'posix', '--sidecar', sidecar!, '--versioning-dir', versions!, objects!],
    env: { ...process.env, ROOT_ACCESS_KEY: ADMINISTRATOR.accessKeyId, ROOT_SECRET_KEY: ADMINISTRATOR.secretAccessKey },
    stopSignal: 'SIGTERM',
  })
  await waitForPort(port, child, 'The S3 server')
  const access = { endpoint: `http://127.0.0.1:${port}`, region: 'us-east-1', ...ADMINISTRATOR }
  const client = new S3Client({ endpoint: access.endpoint, region: access.region, credentials: ADMINISTRATOR, forcePathStyle: true })
  return {
    access,

    async createBucket(kind) {
      const Bucket = uniqueName(kind)
      await client.send(new CreateBucketCommand({ Bucket, ObjectLockEnabledForBucket: kind === 'locked' }))
      if (kind === 'versioned')
        await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Enabled' } }))
      if (kind === 'locked') {
        const Rule = { DefaultRetention: { Mode: 'GOVERNANCE' as const, Days: LOCKED_DAYS } }
        const ObjectLockConfiguration = { ObjectLockEnabled: 'Enabled' as const, Rule }
        await client.send(new PutObjectLockConfigurationCommand({ Bucket, ObjectLockConfiguration }))
      }
      return Bucket
    },

    async createUser(Bucket, actions) {
      const keys = { accessKeyId: uniqueName('user'), secretAccessKey: uniqueName('secret') }
      const asAdministrator = ['--access', ADMINISTRATOR.accessKeyId, '--secret', ADMINISTRATOR.secretAccessKey]
      const user = ['--access', keys.accessKeyId, '--secret', keys.secretAccessKey, '--role', 'user']
      const args = ['admin', ...asAdministrator, '--endpoint-url', access.endpoint, 'create-user', ...user]
      await promisify(execFileCallback)(binaries.versitygw(), args)
      const Resource = [`arn:aws:s3:::${Bucket}`, `arn:aws:s3:::${Bucket}/*`]
      const resourceFor = (action: string): string[] =>
        Resource.filter((each) => each.endsWith('/*') === /Object$|MultipartUpload$|Parts$/.test(action))
      const Statement = actions.map((Action) => ({ Effect: 'Allow', Principal: keys.accessKeyId, Action, Resource: resourceFor(Action) }))
      await client.send(new PutBucketPolicyCommand({ Bucket, Policy: JSON.stringify({ Version: '2012-10-17', Statement }) }))
      return keys
    },

    async versionsIn(Bucket) {
      const { Versions = [], DeleteMarkers = [] } = await client.send(new ListObjectVersionsCommand({ Bucket }))
      return [...Versions, ...DeleteMarkers].map(({ Key, VersionId }) => `${Key} ${VersionId}`)
    },

    async stop() {
      client.destroy()
      await supervisor.stop()
    },
  }
}
