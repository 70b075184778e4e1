// The proxy before a real S3 server. A client has to continue a list while IsTruncated is true.
import { GetObjectCommand, ListObjectsV2Command, paginateListObjectsV2, PutObjectCommand } from '@aws-sdk/client-s3'
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { startShortPages, type ShortPages } from '../../testing/chaos/short-pages.ts'
import { openBucket, type Bucket } from '../support/bucket.ts'
import { createBucket, servers } from '../support/servers.ts'

const KEYS = ['a/1', 'a/2', 'a/3', 'a/4 <&>', 'b/1']
const BODY = randomBytes(300_000)
let pages: ShortPages
let bucket: Bucket

beforeAll(async () => {
  pages = await startShortPages(servers.s3, 2)
  bucket = openBucket({ ...(await createBucket()), endpoint: `http://${pages.address}` })
  for (const Key of KEYS) await bucket.client.send(new PutObjectCommand({ Bucket: bucket.name, Key, Body: BODY }))
})
afterAll(async () => {
  bucket?.close()
  await pages?.close()
})

async function keysOf(query: { Prefix?: string; StartAfter?: string }): Promise<string[][]> {
  const listed: string[][] = []
  for await (const { Contents = [] } of paginateListObjectsV2({ client: bucket.client }, { Bucket: bucket.name, ...query }))
    listed.push(Contents.map(({ Key }) => Key!))
  return listed
}

test('When objects are listed, then a page has at most two, and all pages together have all objects', async () => {
  const first = await bucket.client.send(new ListObjectsV2Command({ Bucket: bucket.name }))
  expect(first).toMatchObject({ IsTruncated: true, KeyCount: 2, Contents: [{ Key: 'a/1', Size: BODY.length }, { Key: 'a/2' }] })
  expect(first.Contents![0]!.LastModified).toBeInstanceOf(Date)
  expect(await keysOf({})).toEqual([['a/1', 'a/2'], ['a/3', 'a/4 <&>'], ['b/1']])
})

test('When objects are listed after a key or with a prefix, then the pages contain only those objects', async () => {
  expect(await keysOf({ StartAfter: 'a/2' })).toEqual([['a/3', 'a/4 <&>'], ['b/1']])
  expect((await keysOf({ Prefix: 'a/', StartAfter: 'a/1' })).flat()).toEqual(['a/2', 'a/3', 'a/4 <&>'])
  const last = await bucket.client.send(new ListObjectsV2Command({ Bucket: bucket.name, StartAfter: 'a/3' }))
  expect(last).toMatchObject({ IsTruncated: false })
  expect(last.NextContinuationToken).toBeUndefined()
})

test('When an object is read or a bucket is missing, then the response is that of the server', async () => {
  const { Body } = await bucket.client.send(new GetObjectCommand({ Bucket: bucket.name, Key: KEYS[0] }))
  expect(Buffer.from(await Body!.transformToByteArray()).equals(BODY)).toBe(true)
  await expect(bucket.client.send(new GetObjectCommand({ Bucket: bucket.name, Key: 'none' }))).rejects.toMatchObject({ name: 'NoSuchKey' })
  await expect(bucket.client.send(new ListObjectsV2Command({ Bucket: 'no-such-bucket' }))).rejects.toMatchObject({ name: 'NoSuchBucket' })
})
