// Clients that have exceeded a limit, in the memory of one process. They are rejected without a query. Times are monotonic, so that a
// change of the clock has no effect.

export interface RefusedClients {
  add(client: string, ms: number): void
  /** How long this client is still rejected; 0 if it is not. */
  msLeft(client: string): number
}

export function createRefusedClients(maxClients: number): RefusedClients {
  /** In the order in which they were added: the oldest one is removed first. */
  const until = new Map<string, number>()
  return {
    add(client, ms) {
      until.delete(client)
      until.set(client, performance.now() + ms)
      const [oldest] = until.keys()
      if (until.size > maxClients) until.delete(oldest!)
    },
    msLeft(client) {
      const ms = (until.get(client) ?? 0) - performance.now()
      if (ms > 0) return ms
      until.delete(client)
      return 0
    },
  }
}
