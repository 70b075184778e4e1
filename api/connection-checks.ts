import type { Client } from '@temporalio/client'
import type { ExotelApi } from '../exotel/api-client.ts'
import type { Database } from '../platform/database.ts'
import type { Mailer } from '../platform/mailer.ts'
import type { BucketObjects } from '../recordings/bucket-objects.ts'

/** Each check resolves with a description of what was verified, or throws an error that describes the fault. */
export type ConnectionChecks = Record<'email' | 'storage' | 'exotel' | 'temporal' | 'database', () => Promise<string>>

export interface Connections {
  mailer: Mailer
  bucketObjects: BucketObjects
  exotelApi: ExotelApi
  temporal: () => Promise<Client>
  namespace: string
  database: Database
}

const DEADLINE_MS = 5000

export function connectionChecks({ mailer, bucketObjects, exotelApi, temporal, namespace, database }: Connections): ConnectionChecks {
  return {
    email: () => mailer.check(),
    async storage() {
      await bucketObjects.assertBucket(AbortSignal.timeout(DEADLINE_MS))
      return `The bucket ${bucketObjects.bucket} exists and accepts our keys`
    },
    async exotel() {
      const now = new Date()
      await exotelApi.listCalls(
        { kind: 'window', from: new Date(now.getTime() - 60_000), to: now },
        undefined,
        AbortSignal.timeout(DEADLINE_MS),
      )
      return "Exotel's API accepts our key"
    },
    async temporal() {
      const { connection } = await temporal()
      await connection.withDeadline(Date.now() + DEADLINE_MS, () => connection.workflowService.describeNamespace({ namespace }))
      return `The namespace ${namespace} exists`
    },
    async database() {
      const [row] = await database.$queryRaw<{ migration: string }[]>`
        SELECT migration_name AS migration FROM _prisma_migrations WHERE finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT 1`
      return `PostgreSQL responds; the newest migration is ${row?.migration ?? 'none'}`
    },
  }
}
