import { Client, Connection } from '@temporalio/client'
import type { TemporalSettings } from '../platform/config.ts'
import { temporalConnectionOptions } from './connection-options.ts'

export interface TemporalClient {
  /** Connects when first needed, so that the API starts while Temporal is away. Rejects while it cannot be reached. */
  client: () => Promise<Client>
  close: () => Promise<void>
}

const CONNECT_TIMEOUT = '5s'

/** One connection for all users. Who asks while an attempt is under way gets its result; after a failed attempt the next user begins anew. */
export function openTemporal(config: TemporalSettings): TemporalClient {
  let connecting: Promise<Client> | undefined
  const connect = async (): Promise<Client> => {
    const connection = Connection.lazy({ ...temporalConnectionOptions(config), connectTimeout: CONNECT_TIMEOUT })
    try {
      await connection.ensureConnected()
      return new Client({ connection, namespace: config.TEMPORAL_NAMESPACE })
    } catch (error) {
      connecting = undefined
      await connection.close() // else its channel goes on connecting by itself
      throw error
    }
  }
  return {
    client: () => (connecting ??= connect()),
    close: async () => (await connecting?.catch(() => undefined))?.connection.close(),
  }
}
