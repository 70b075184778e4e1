// Schemathesis with all its checks against the API as it runs in the image. Webhooks are left out, since Exotel defines what they
// take; limits are raised (see startBackend), since they would be all it met.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { fuzzer } from '../../dev/fetch-servers.mjs'
import { loggedIn, registered } from '../support/accounts.ts'
import { startBackend, type Backend } from '../support/backend.ts'

const EXAMPLES = process.env.FUZZ_EXAMPLES ?? '50'
const TEST_TOKEN = 'the-token-of-the-test-routes'
const WEBHOOKS = '^/webhooks/'
/** They end the session that the others need. */
const LOGOUT = '^/api/auth/logout'
const config = fileURLToPath(new URL('./schemathesis.toml', import.meta.url))

let backend: Backend
beforeAll(async () => {
  backend = await startBackend({ start: ['api'], env: { DEV_TEST_TOKEN: TEST_TOKEN, LOG_LEVEL: 'warn' } })
})
afterAll(() => backend?.stop())

async function findings(which: [option: string, pattern: string], ...options: string[]): Promise<string> {
  const args = ['run', `${backend.apiUrl}/openapi.json`, '--checks', 'all', ...which]
  const child = spawn(
    'python3',
    [join(fuzzer, 'bin', 'schemathesis'), '--config-file', config, ...args, '--max-examples', EXAMPLES, ...options],
    {
      cwd: backend.mailDirectory.replace(/mail$/, ''),
      env: { ...process.env, PYTHONPATH: fuzzer, NO_COLOR: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => (said += text.toString()))
  const code = await new Promise((resolve) => child.once('close', resolve))
  console.log(said.split('\n').slice(-25).join('\n'))
  return code === 0 ? '' : said
}

test('When nobody is logged in, then every answer is one that the document names', async () => {
  expect(await findings(['--exclude-path-regex', WEBHOOKS])).toBe('')
})

test('When somebody is logged in, then too', async () => {
  const { accessToken } = await loggedIn(backend.apiUrl, await registered(backend))
  const which: [string, string] = ['--exclude-path-regex', `${WEBHOOKS}|${LOGOUT}`]
  expect(await findings(which, '--header', `Authorization: Bearer ${accessToken}`)).toBe('')
})

test('When an engineer shows the test token, then too', async () => {
  expect(await findings(['--include-path-regex', '^/api/test/'], '--header', `Authorization: Bearer ${TEST_TOKEN}`)).toBe('')
})

test('When all is done, then the API has met nothing that it did not foresee', () => {
  expect(backend.logs('api')).not.toMatch(/Request failed/)
})
