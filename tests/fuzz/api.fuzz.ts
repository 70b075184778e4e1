// Runs Schemathesis with all its checks against the API as it runs in the image. Webhooks are excluded because Exotel defines their
// fields. Rate limits are raised (see startBackend), because otherwise most requests would be rejected.
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
/** These operations end the session that other requests need. */
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
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => (output += text.toString()))
  const code = await new Promise((resolve) => child.once('close', resolve))
  console.log(output.split('\n').slice(-25).join('\n'))
  return code === 0 ? '' : output
}

test('When requests have no session, then every response matches the OpenAPI document', async () => {
  expect(await findings(['--exclude-path-regex', WEBHOOKS])).toBe('')
})

test('When requests have a session, then every response matches the OpenAPI document', async () => {
  const { accessToken } = await loggedIn(backend.apiUrl, await registered(backend))
  const which: [string, string] = ['--exclude-path-regex', `${WEBHOOKS}|${LOGOUT}`]
  expect(await findings(which, '--header', `Authorization: Bearer ${accessToken}`)).toBe('')
})

test('When requests have the test token, then every response of the test routes matches the OpenAPI document', async () => {
  expect(await findings(['--include-path-regex', '^/api/test/'], '--header', `Authorization: Bearer ${TEST_TOKEN}`)).toBe('')
})

test('When all requests are done, then the API has logged no unexpected error', () => {
  expect(backend.logs('api')).not.toMatch(/Request failed/)
})
