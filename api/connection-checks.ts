import type { Client } from '@temporalio/client'
import type { ExotelApi } from '../exotel/api-client.ts'
import type { Database } from '../platform/database.ts'
import type { Mailer } from '../platform/mailer.ts'
import type { ObjectInventory } from '../recordings/inventory.ts'

/** Each resolves with what is well, in words, or throws what is wrong. */
export type ConnectionChecks = Record<'email' | 'storage' | 'exotel' | 'temporal' | 'database', () => Promise<string>>

export interface Connections {
  mailer: Mailer
  inventory: ObjectInventory
  exotelApi: ExotelApi
  temporal: () => Promise<Client>
  namespace: string
  database: Database
}

const DEADLINE_MS = 5000

export function connectionChecks({ mailer, inventory, exotelApi, temporal, namespace, database }: Connections): ConnectionChecks {
  return {
    email: () => mailer.check(),
    async storage() {
      await inventory.assertBucket(AbortSignal.timeout(DEADLINE_MS))
      return `The bucket ${inventory.bucket} is there and takes our keys`
    },
    async exotel() {
      const now = new Date()
      await exotelApi.listCalls(
        { kind: 'window', from: new Date(now.getTime() - 60_000), to: now },
        undefined,
        AbortSignal.timeout(DEADLINE_MS),
      )
      return 'The API of Exotel takes our key'
    },
    async temporal() {
      const { connection } = await temporal()
      await connection.withDeadline(Date.now() + DEADLINE_MS, () => connection.workflowService.describeNamespace({ namespace }))
      return `The namespace ${namespace} is there`
    },
    async database() {
      const [row] = await database.$queryRaw<{ migration: string }[]>`
        SELECT migration_name AS migration FROM _prisma_migrations WHERE finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT 1`
      return `PostgreSQL answers; the last migration is ${row?.migration ?? 'none'}`
    },
  }
}
