// Runs the product's full object check on a store with short pages, and verifies that it sees all rows and objects.
import { paginateListObjectsV2, S3Client } from '@aws-sdk/client-s3'
import { Client, Connection } from '@temporalio/client'
import pg from 'pg'
import type { Places } from './checker.ts'

/** The result of the workflow. */
interface Found {
  rows: number
  missing: number
  objects: number
  unknown: number
  adopted: number
  deleted: number
}

const TIMEOUT = '3m'

/** @returns one sentence for each wrong count in the result */
export async function runFullObjectCheck({ databaseUrl, s3, temporal }: Places): Promise<string[]> {
  const [rows, objects] = await Promise.all([countStoredRows(databaseUrl), countObjects(s3)])
  const expected: Found = { rows, missing: 0, objects, unknown: 0, adopted: 0, deleted: 0 }
  const found = await runWorkflow(temporal).catch((error: Error) => error)
  if (found instanceof Error) return [`the full object check failed: ${found.message}`]
  return (Object.keys(expected) as (keyof Found)[]).flatMap((count) =>
    found[count] === expected[count] ? [] : [`the full object check reports ${found[count]} for ${count}, expected ${expected[count]}`],
  )
}

/** Runs the workflow as an operator does, see docs/operations.md. */
async function runWorkflow({ address, namespace }: Places['temporal']): Promise<Found> {
  const connection = await Connection.connect({ address })
  try {
    return (await new Client({ connection, namespace }).workflow.execute('ObjectCheckWorkflow', {
      taskQueue: 'recordings',
      workflowId: 'object-check-full',
      args: [{ full: true }],
      workflowExecutionTimeout: TIMEOUT,
    })) as Found
  } finally {
    await connection.close()
  }
}

async function countStoredRows(databaseUrl: string): Promise<number> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  const { rows } = await client
    .query<{ count: string }>(`SELECT count(*) FROM recordings WHERE state = 'stored'`)
    .finally(() => client.end())
  return Number(rows[0]!.count)
}

async function countObjects({ bucket: Bucket, endpoint, region, ...credentials }: Places['s3']): Promise<number> {
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true })
  let objects = 0
  for await (const { Contents = [] } of paginateListObjectsV2({ client }, { Bucket })) objects += Contents.length
  client.destroy()
  return objects
}
