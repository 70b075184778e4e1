import { Client, Connection } from '@temporalio/client'
import type { TemporalSettings } from '../platform/config.ts'
import { temporalConnectionOptions } from './connection-options.ts'

export interface TemporalClient {
  /** Connects on first use, so that the API starts while Temporal is unavailable. Rejects while Temporal cannot be reached. */
  client: () => Promise<Client>
  close: () => Promise<void>
}

const CONNECT_TIMEOUT = '5s'

/**
 * Opens one connection that all callers share, also while it is being established. After a failed attempt the next call starts a new
 * attempt.
 */
export function openTemporal(config: TemporalSettings): TemporalClient {
  let connecting: Promise<Client> | undefined
  const connect = async (): Promise<Client> => {
    const connection = Connection.lazy({ ...temporalConnectionOptions(config), connectTimeout: CONNECT_TIMEOUT })
    try {
      await connection.ensureConnected()
      return new Client({ connection, namespace: config.TEMPORAL_NAMESPACE })
    } catch (error) {
      connecting = undefined
      await connection.close() // otherwise its channel continues to connect
      throw error
    }
  }
  return {
    client: () => (connecting ??= connect()),
    close: async () => (await connecting?.catch(() => undefined))?.connection.close(),
  }
}
