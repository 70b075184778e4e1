// `npm run test:docker [-- compose | only-node]`: builds the images, runs docker-compose.yml under a project name of its own, and
// stops, kills and restarts its services during work; then starts the development stack on a machine with nothing but Node.
// Progress is on stderr; the last line of stdout is JSON; exit code 0 only if every drill passed. The first failure ends the drills.
import { CannotStart, runMain, stopSignal } from '../../platform/process.ts'
import { deploymentOf, planDeployment, removeDeployment } from './deployment.ts'
import { dockerUntil, type Docker } from './docker.ts'
import { drillsOn, type Drill } from './drills.ts'
import { removeOnlyNode, startWithOnlyNode } from './only-node.ts'
import { openTraffic } from './traffic.ts'

interface Result {
  name: string
  ok: boolean
  seconds: number
  error?: string
  packagesMb?: number
}

const PROJECT = `caly-drills-${process.pid}`
const INTERRUPTED = 130
const print = (text: string): void => console.error(`  ${text}`)

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true'
runMain(async () => {
  const group = readGroup()
  const interruption = new AbortController()
  void stopSignal().then(() => interruption.abort(new Error('The drills were interrupted.')))
  const docker = dockerUntil(interruption.signal)
  const cleaning = dockerUntil(new AbortController().signal)
  await assertDocker(docker)
  const plan = await planDeployment(PROJECT)
  const deployment = deploymentOf(plan, docker)
  const traffic = openTraffic(deployment, { print, signal: interruption.signal })
  const groups = {
    compose: [{ name: 'build the images', run: deployment.build }, ...drillsOn(deployment, traffic, docker)],
    'only-node': onlyNodeDrills(docker),
  }
  const drills = group === undefined ? Object.values(groups).flat() : groups[group]
  const results: Result[] = []
  try {
    for (const drill of drills) {
      const result = await runDrill(drill)
      results.push(result)
      if (!result.ok || interruption.signal.aborted) break
    }
    if (!results.every(({ ok }) => ok)) console.error(await deployment.compose(['logs', '--tail', '40']).catch(() => 'There are no logs.'))
  } finally {
    print('Removing containers, volumes and images …')
    await Promise.all([removeOnlyNode(PROJECT, cleaning), removeDeployment(plan, cleaning)])
  }
  if (interruption.signal.aborted) process.exit(INTERRUPTED)
  const ok = results.every((result) => result.ok)
  console.log(JSON.stringify({ ok, drills: results, packagesMb: results.find(({ packagesMb }) => packagesMb)?.packagesMb ?? null }))
  process.exit(ok ? 0 : 1)
})

/** Undefined: all drills. */
function readGroup(): 'compose' | 'only-node' | undefined {
  const [group, ...more] = process.argv.slice(2)
  if (more.length === 0 && (group === undefined || group === 'compose' || group === 'only-node')) return group
  throw new CannotStart('Usage: npm run test:docker [-- compose | only-node]')
}

async function assertDocker(docker: Docker): Promise<void> {
  await docker(['compose', 'version'])
    .then(() => docker(['info']))
    .catch(() => {
      throw new CannotStart('There is no Docker daemon with Compose here: start one, or name it in DOCKER_HOST.')
    })
}

function onlyNodeDrills(docker: Docker): Drill[] {
  return (['root', 'node'] as const).map((user) => ({
    name: `a machine with nothing but Node, as ${user}`,
    run: () => startWithOnlyNode(user, { project: PROJECT, docker }),
  }))
}

async function runDrill({ name, run }: Drill): Promise<Result> {
  console.error(`▶ ${name}`)
  const began = performance.now()
  const seconds = (): number => Math.round((performance.now() - began) / 1000)
  try {
    const details = await run()
    console.error(`✔ ${name} (${seconds()} s)`)
    return { name, ok: true, seconds: seconds(), ...details }
  } catch (error) {
    console.error(`✘ ${name} (${seconds()} s): ${(error as Error).message}`)
    return { name, ok: false, seconds: seconds(), error: (error as Error).message.split('\n')[0]! }
  }
}
