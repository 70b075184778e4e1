// `npm run test:attack [-- NAME …]`: runs attacks on one API process. Each has bounds on memory, event loop delay and the response time
// of another client. All traffic stays on this machine. The last line is JSON. The exit code is 0 only if all bounds hold.
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildInto } from '../../dev/build.ts'
import { clearLeftovers, Supervisor } from '../../dev/supervisor.ts'
import { loadSecrets } from '../../dev/secrets.ts'
import { startServers } from '../../dev/stack.ts'
import { runMain } from '../../platform/process.ts'
import type { Result } from './run.ts'

const home = fileURLToPath(new URL('../../.data/attack', import.meta.url))

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true'
runMain(async () => {
  await clearLeftovers(home)
  rmSync(home, { recursive: true, force: true })
  mkdirSync(home, { recursive: true })
  const supervisor = new Supervisor(home)
  process.once('SIGINT', () => void supervisor.stop().then(() => process.exit(130)))
  const results = await attackOwnStack(supervisor).finally(() => supervisor.stop())
  const held = results.length > 0 && results.every(({ broken }) => broken.length === 0)
  console.log(JSON.stringify({ ok: held, attacks: results }))
  process.exit(held ? 0 : 1)
})

async function attackOwnStack(supervisor: Supervisor): Promise<Result[]> {
  const servers = await startServers(supervisor, { home, secrets: loadSecrets(home), kind: 'any', report: () => {} })
  const dist = join(home, 'dist')
  await buildInto(dist)
  process.env.TEST_STACK = JSON.stringify({ servers, home, dist })
  const { runAttacks } = await import('./run.ts') // tests/support reads TEST_STACK when it is loaded
  return runAttacks(process.argv.slice(2))
}
