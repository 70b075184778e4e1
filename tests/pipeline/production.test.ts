import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { startBackend, type Backend } from '../support/backend.ts'
import { PRODUCTION } from '../support/production.ts'

let backend: Backend
beforeAll(async () => {
  backend = await startBackend({ start: [] })
})
afterAll(() => backend?.stop())

const lastLine = (name: 'api' | 'worker'): string => backend.logs(name).trim().split('\n').at(-1)!

test.each(['api', 'worker'] as const)(
  'When the %s starts without NODE_ENV and with settings of development, then it refuses',
  async (name) => {
    backend.launch(name, { NODE_ENV: '' })
    expect(await backend.exited(name)).toBe(1)
    expect(lastLine(name)).toMatch(/^The configuration is invalid\. .*EXOTEL_API_KEY .*EXOTEL_ALLOW_LOCAL must not be set in production/)
    expect(lastLine(name)).not.toMatch(/http:\/\/|127\.0\.0\.1/)
  },
)

test('When the API starts without NODE_ENV and with sound settings, then it serves', async () => {
  await backend.start('api', { ...PRODUCTION, NODE_ENV: '' })
  expect(await backend.end('api', 'SIGTERM')).toBe(0)
})

const isOldNode = Number(process.versions.node.split('.')[0]) < 22
;(isOldNode ? test : test.skip)('When Node is too old, then production says so in one sentence, and development still works', async () => {
  for (const name of ['api', 'worker'] as const) {
    backend.launch(name, { ...PRODUCTION, ALLOW_OLD_NODE: '' })
    expect(await backend.exited(name)).toBe(1)
    expect(lastLine(name)).toMatch(/^Node 2\d\..* production needs Node 22 or later, or ALLOW_OLD_NODE=true$/)
  }
  await backend.start('api', { NODE_ENV: 'development', LOG_FILE: '/dev/null' })
  expect(backend.logs('api').match(/production needs Node 22 or later"/g)).toHaveLength(1)
})
