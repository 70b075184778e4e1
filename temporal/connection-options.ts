import type { TemporalSettings } from '../platform/config.ts'

/** Address and credentials for the connection of a client or a worker. */
export function temporalConnectionOptions(config: TemporalSettings): { address: string; apiKey?: string; tls?: true } {
  return {
    address: config.TEMPORAL_ADDRESS,
    ...(config.TEMPORAL_API_KEY ? { apiKey: config.TEMPORAL_API_KEY } : {}),
    ...(config.TEMPORAL_TLS || config.TEMPORAL_API_KEY ? { tls: true } : {}),
  }
}
