// What is done to the containers while calls come in. After each drill, every recording must be stored.
import { setTimeout as pause } from 'node:timers/promises'
import type { Deployment } from './deployment.ts'
import type { Docker } from './docker.ts'
import { inspectConfinement, inspectPackages } from './image.ts'
import type { Traffic } from './traffic.ts'

export interface Drill {
  name: string
  /** @returns what the result says about it besides; @throws if it failed */
  run(): Promise<Record<string, unknown> | void>
}

const FIRST_CALLS = 5
/** How long something stays away before it is started again. */
const AWAY_MS = 3000
const BETWEEN_RESTARTS_MS = 4000
const OWN_SERVICES = ['api', 'worker']
const SERVERS = ['postgres', 'temporal', 's3']

export function drillsOn(deployment: Deployment, traffic: Traffic, docker: Docker): Drill[] {
  const { compose, images, up } = deployment

  return [
    { name: 'packages of the runtime image', run: async () => ({ packagesMb: await inspectPackages(images.runtime, docker) }) },
    {
      name: 'start from nothing',
      async run() {
        await up()
        await traffic.makeCalls(FIRST_CALLS)
        await traffic.assertAllStored()
      },
    },
    { name: 'read-only images without capabilities', run: () => inspectConfinement(deployment, docker) },
    { name: 'stop API and worker during work', run: stopDuringWork },
    {
      name: 'kill API and worker during work',
      async run() {
        await traffic.during(async () => {
          await compose(['kill', '--signal', 'SIGKILL', ...OWN_SERVICES])
          await pause(AWAY_MS)
          await up()
        })
        await traffic.assertAllStored()
      },
    },
    ...SERVERS.map((server) => ({
      name: `restart ${server} during work`,
      async run() {
        await traffic.during(async () => {
          await compose(['restart', server])
          await pause(BETWEEN_RESTARTS_MS)
          await up()
        })
        await traffic.assertAllStored()
      },
    })),
  ]

  /** A process that outlasts stop_grace_period is killed: then its exit code is 137. */
  async function stopDuringWork(): Promise<Record<string, unknown>> {
    const ids = (await compose(['ps', '--quiet', ...OWN_SERVICES])).split('\n')
    const stopSeconds = await traffic.during(async () => {
      const began = performance.now()
      await compose(['stop', ...OWN_SERVICES])
      const seconds = Math.round((performance.now() - began) / 100) / 10
      const codes = await docker(['inspect', '--format', '{{.Name}} {{.State.ExitCode}} {{.State.OOMKilled}}', ...ids])
      const unexpected = codes.split('\n').filter((line) => !line.endsWith(' 0 false'))
      if (unexpected.length > 0) throw new Error(`Exit codes after a stop (name, code, out of memory): ${unexpected.join(', ')}`)
      await pause(AWAY_MS)
      await up()
      return seconds
    })
    await traffic.assertAllStored()
    return { stopSeconds }
  }
}
