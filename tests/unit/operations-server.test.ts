import { afterEach, expect, jest, test } from '@jest/globals'
import { serveOperations, type OperationsRoutes } from '../../platform/operations-server.ts'

let server: Awaited<ReturnType<typeof serveOperations>> | undefined
afterEach(() => server?.close())

async function serve(routes: Partial<OperationsRoutes>): Promise<(path: string) => Promise<number>> {
  const started = await serveOperations(
    { host: '127.0.0.1', port: 0 },
    { readiness: () => ({ ready: true }), health: async () => ({}), ...routes },
  )
  server = started
  return async (path) => (await fetch(`http://127.0.0.1:${started.port}${path}`, { signal: AbortSignal.timeout(20_000) })).status
}

test('When metrics are requested several times within some seconds, then queried metrics are updated once, and again afterwards', async () => {
  let looks = 0
  const get = await serve({ measure: async () => void (looks += 1) })
  for (let i = 0; i < 5; i += 1) expect(await get('/metrics')).toBe(200)
  expect(looks).toBe(1)
  const later = jest.spyOn(performance, 'now').mockReturnValue(performance.now() + 6000)
  await get('/metrics').finally(() => later.mockRestore())
  expect(looks).toBe(2)
})

test('When the state of the process cannot be determined, then /health responds 500, and the other paths still respond', async () => {
  const get = await serve({ health: () => Promise.reject(new Error('PostgreSQL does not respond')) })
  expect(await get('/health')).toBe(500)
  expect([await get('/health/ready'), await get('/nothing')]).toEqual([200, 404])
})
