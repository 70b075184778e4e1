// Clients that have used up a limit, as one process remembers them: they are refused without asking the database again. The time is
// monotonic, so that a corrected clock changes nothing.

export interface RefusedClients {
  add(client: string, ms: number): void
  /** How long this client is still refused; 0 where it is not. */
  msLeft(client: string): number
}

export function createRefusedClients(maxClients: number): RefusedClients {
  /** In the order in which they were added: the oldest one is forgotten first. */
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
