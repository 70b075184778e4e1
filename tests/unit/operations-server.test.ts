import { expect, test } from '@jest/globals'
import { serveOperations } from '../../platform/operations-server.ts'

test('When metrics are requested several times within some seconds, then queried metrics are updated once', async () => {
  let looks = 0
  const measure = async (): Promise<void> => void (looks += 1)
  const server = await serveOperations(
    { host: '127.0.0.1', port: 0 },
    { readiness: () => ({ ready: true }), health: async () => ({}), measure },
  )
  try {
    for (let i = 0; i < 5; i += 1) expect((await fetch(`http://127.0.0.1:${server.port}/metrics`)).status).toBe(200)
    expect(looks).toBe(1)
  } finally {
    server.close()
  }
})
