// Starts the real servers once for the whole test run, and builds the code once, so that processes run the same code as in the image.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildInto } from '../dev/build.ts'
import { clearLeftovers, Supervisor } from '../dev/supervisor.ts'
import { loadSecrets } from '../dev/secrets.ts'
import { startServers } from '../dev/stack.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

export default async function globalSetup(): Promise<void> {
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true'
  const home = join(root, '.data', `test-${process.pid}`)
  mkdirSync(home, { recursive: true })
  await clearLeftovers(home)
  const supervisor = new Supervisor(home)
  supervisor.removeAtEnd(home)
  try {
    const servers = await startServers(supervisor, { home, secrets: loadSecrets(home), kind: 'any', report: () => {} })
    const dist = join(home, 'dist')
    await buildInto(dist)
    process.env.TEST_STACK = JSON.stringify({ servers, home, dist })
  } catch (error) {
    await supervisor.stop()
    throw error
  }
  ;(globalThis as { supervisor?: Supervisor }).supervisor = supervisor
}
