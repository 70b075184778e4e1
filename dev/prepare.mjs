// First step of every npm script: installs what the command needs and the machine lacks. Uses only Node.
//   prepare.mjs            npm packages and the Prisma client
//   prepare.mjs --servers  also the servers of the development stack and of the tests
//   prepare.mjs --fuzzer   also schemathesis
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { assertPlatform, fetchFuzzer, fetchServers, fuzzerMissing, serversMissing } from './fetch-servers.mjs'
import { withLock } from './lock.mjs'
import { root, run, StepFailed, stopSteps } from './steps.mjs'

const LOCK = join(root, '.installing')
const at = (...parts) => join(root, ...parts)
const changed = (...parts) => (existsSync(at(...parts)) ? statSync(at(...parts)).mtimeMs : 0)
const staleModules = () => changed('package-lock.json') > changed('node_modules', '.package-lock.json')
const staleClient = () => changed('prisma', 'schema.prisma') > changed('platform', 'generated', 'client.ts')

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    void stopSteps().finally(() => process.exit(130))
  })
}

process.env.NO_ENV_FILE = 'true' // for the steps: `prisma generate` reads prisma.config.ts, and .env may name a real database
const wantsServers = process.argv.includes('--servers')
const wantsFuzzer = process.argv.includes('--fuzzer')
try {
  if (wantsServers) assertPlatform()
  if (staleModules() || staleClient() || (wantsServers && serversMissing()) || (wantsFuzzer && fuzzerMissing())) {
    await withLock(LOCK, async () => {
      const packages = installPackages()
      await Promise.all([packages, wantsServers && fetchServers(packages), wantsFuzzer && fetchFuzzer()])
    })
  }
} catch (error) {
  await stopSteps()
  console.error(error instanceof StepFailed ? error.message : error)
  process.exit(1)
}

async function installPackages() {
  if (staleModules()) await run('installing packages', ...npm('ci', '--no-audit', '--no-fund', '--loglevel=error'))
  if (staleClient())
    await run('generating the Prisma client', process.execPath, at('node_modules', 'prisma', 'build', 'index.js'), 'generate')
}

/** Uses the npm that runs this script, and no shell, so that paths with spaces are safe. */
function npm(...args) {
  const { npm_execpath: path } = process.env
  return path ? [process.execPath, path, ...args] : ['npm', ...args]
}
