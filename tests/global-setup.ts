// Starts the real servers once for the whole test run, and builds the code once, so that processes run the same code as in the image.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildInto } from '../dev/build.ts'
import { clearLeftovers, Supervisor } from '../dev/supervisor.ts'
import { startTestServers } from './support/start-servers.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

/**
 * `TEST_SERVERS` names servers that run already, and `TEST_BUILD=none` omits the build: tests/mutants runs Jest hundreds of times.
 */
export default async function globalSetup(): Promise<void> {
  const home = join(root, '.data', `test-${process.pid}`)
  mkdirSync(home, { recursive: true })
  await clearLeftovers(home)
  const supervisor = new Supervisor(home)
  supervisor.removeAtEnd(home)
  try {
    const given = process.env.TEST_SERVERS
    const servers = given ? JSON.parse(given) : await startTestServers(supervisor, home)
    const dist = join(home, 'dist')
    if (process.env.TEST_BUILD !== 'none') await buildInto(dist)
    process.env.TEST_STACK = JSON.stringify({ servers, home, dist })
  } catch (error) {
    await supervisor.stop()
    throw error
  }
  ;(globalThis as { supervisor?: Supervisor }).supervisor = supervisor
}
