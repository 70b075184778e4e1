import { loadSecrets } from '../../dev/secrets.ts'
import { startServers, type Servers } from '../../dev/stack.ts'
import type { Supervisor } from '../../dev/supervisor.ts'

/** Starts PostgreSQL, Temporal and S3 for tests, with their data in `home`. */
export function startTestServers(supervisor: Supervisor, home: string): Promise<Servers> {
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true'
  return startServers(supervisor, { home, secrets: loadSecrets(home), kind: 'any', report: () => {} })
}
