import { GetObjectCommand, ListMultipartUploadsCommand, paginateListObjectsV2, S3Client } from '@aws-sdk/client-s3'
import { createHash } from 'node:crypto'
import type { S3Access } from '../../dev/s3-server.ts'

/** Reads the contents of a bucket without any production code. */
export interface Bucket {
  name: string
  client: S3Client
  keys(prefix?: string): Promise<string[]>
  sha256Of(key: string): Promise<string>
  openUploads(): Promise<number>
  close(): void
}

export function openBucket({ bucket: Bucket, endpoint, region, ...credentials }: S3Access & { bucket: string }): Bucket {
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true })
  return {
    name: Bucket,
    client,
    async keys(Prefix = '') {
      const keys: string[] = []
      for await (const { Contents = [] } of paginateListObjectsV2({ client }, { Bucket, Prefix }))
        keys.push(...Contents.map(({ Key }) => Key!))
      return keys
    },
    async sha256Of(Key) {
      const { Body } = await client.send(new GetObjectCommand({ Bucket, Key }))
      const sha256 = createHash('sha256')
      for await (const chunk of Body as AsyncIterable<Buffer>) sha256.update(chunk)
      return sha256.digest('hex')
    },
    openUploads: async () => ((await client.send(new ListMultipartUploadsCommand({ Bucket }))).Uploads ?? []).length,
    close: () => client.destroy(),
  }
}
