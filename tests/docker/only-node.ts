// A container with nothing but Node: no git, Python or Go, and no certificates besides those that Node brings along.
import { execFileSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Docker } from './docker.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const IMAGE = 'node:24-bookworm-slim'
const FOLDER = '/srv/project'
const LIMIT_MS = 12 * 60_000
/** What this machine needs to reach the registries, its containers need as well. */
const NETWORK_SETTINGS = /^(?:PIP_INDEX_URL|PIP_PROXY|npm_config_registry|GOPROXY|GONOSUMDB|GONOSUMCHECK|GOSUMDB|(?:https?|no)_proxy)$/i
/** The same, where the value is a file of this machine. */
const CERTIFICATE_SETTINGS = ['NODE_EXTRA_CA_CERTS', 'PIP_CERT']

/** Runs `npm run dev -- --once` on a copy of the project's files. @throws unless it ends with exit code 0 */
export async function startWithOnlyNode(user: 'root' | 'node', { project, docker }: { project: string; docker: Docker }): Promise<void> {
  const copy = mkdtempSync(join(tmpdir(), `${project}-copy-`))
  const name = `${project}-only-node-${user}`
  const settings = Object.entries(process.env).filter(([setting]) => NETWORK_SETTINGS.test(setting))
  const certificates = CERTIFICATE_SETTINGS.flatMap((setting) => {
    const file = process.env[setting]
    return file && existsSync(file) ? [{ setting, file, target: `/srv/${setting}.pem` }] : []
  })
  try {
    copyTrackedFiles(copy)
    chmodSync(copy, 0o755) // as a clone has it: PostgreSQL runs as another user where the stack is started as root
    await docker(['run', '--detach', '--name', name, '--init', '--user', 'root', IMAGE, 'sleep', 'infinity'])
    await docker(['exec', name, 'rm', '-rf', '/etc/ssl/certs']) // the official image has none
    await docker(['cp', `${copy}/.`, `${name}:${FOLDER}`])
    for (const { file, target } of certificates) await docker(['cp', '--follow-link', file, `${name}:${target}`])
    await docker(['exec', name, 'chown', '-R', `${user}:${user}`, '/srv'])
    const env = [...settings, ...certificates.map(({ setting, target }) => [setting, target])]
    const given = env.flatMap(([setting, value]) => ['--env', `${setting}=${value}`])
    const command = ['exec', '--user', user, '--workdir', FOLDER, ...given, name, 'npm', 'run', 'dev', '--', '--once']
    await docker(command, { limitMs: LIMIT_MS, show: 'stderr' })
  } finally {
    rmSync(copy, { recursive: true })
  }
}

/** @param project as in the names of the containers */
export async function removeOnlyNode(project: string, docker: Docker): Promise<void> {
  const ids = await docker(['ps', '--all', '--quiet', '--filter', `name=^${project}-only-node-`])
  if (ids !== '') await docker(['rm', '--force', '--volumes', ...ids.split('\n')])
}

/** Those that git knows, and that exist: no installed packages, servers or settings. */
function copyTrackedFiles(target: string): void {
  const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root, encoding: 'utf8' })
  for (const file of files.split('\0')) {
    if (file === '' || !existsSync(join(root, file))) continue
    cpSync(join(root, file), join(target, file), { recursive: dirname(file) !== '.' })
  }
}
