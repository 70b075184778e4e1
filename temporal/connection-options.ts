import type { TemporalSettings } from '../platform/config.ts'

/** Address and credentials, for a client's connection as for a worker's. */
export function temporalConnectionOptions(config: TemporalSettings): { address: string; apiKey?: string; tls?: true } {
  return {
    address: config.TEMPORAL_ADDRESS,
    ...(config.TEMPORAL_API_KEY ? { apiKey: config.TEMPORAL_API_KEY } : {}),
    ...(config.TEMPORAL_TLS || config.TEMPORAL_API_KEY ? { tls: true } : {}),
  }
}
