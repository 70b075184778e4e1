import type { Express } from 'express'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'

/** Serves an application on a free port of this machine. */
export async function serve(app: Express): Promise<{ url: string; close: () => void }> {
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => server.close().closeAllConnections(),
  }
}
