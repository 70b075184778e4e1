import type { Express } from 'express'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'

export interface Served {
  url: string
  /** Closes all connections, too. */
  close: () => void
}

/** Serves an application on a free port of this machine. */
export async function serve(app: Express): Promise<Served> {
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => server.close().closeAllConnections(),
  }
}
