// The project's own docker-compose.yml under another project name, with ports, images and volumes of its own, and a simulator as Exotel.
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../dev/ports.ts'
import type { Places } from '../../testing/chaos/checker.ts'
import type { Docker } from './docker.ts'

export interface Deployment {
  images: Images
  simulatorUrl: string
  /** Runs `docker compose` on this deployment. */
  compose: Docker
  build(): Promise<void>
  /** Starts everything that does not run, and waits until it is healthy. */
  up(): Promise<void>
  /** Where its rows, objects and workflows are, as seen from this machine; after the first start. */
  places(): Promise<Places>
}

/** What a deployment consists of, before anything is built or started. */
export interface DeploymentPlan {
  /** Name of the Compose project, which nobody else uses. */
  project: string
  /** Folder of the files that Compose reads besides docker-compose.yml. */
  folder: string
  images: Images
  ports: Ports
}

type Images = Record<'runtime' | 'release' | 'build', string>
type Ports = Record<'api' | 'postgres' | 'temporal' | 's3' | 'simulator', number>

const root = fileURLToPath(new URL('../..', import.meta.url))
const ACCOUNT = 'drills'
/** As in docker-compose.yml. */
const BUCKET = { bucket: 'recordings', region: 'us-east-1' }
const BUILD_LIMIT_MS = 20 * 60_000
const UP_LIMIT_MS = 5 * 60_000
const HEALTHY_POLL_MS = 500
/** A minute of Exotel's takes a second. */
const WAIT_SCALE = String(1 / 60)

export async function planDeployment(project: string): Promise<DeploymentPlan> {
  const folder = mkdtempSync(join(tmpdir(), `${project}-`))
  const ports = {
    api: await freePort(0),
    postgres: await freePort(0),
    temporal: await freePort(0),
    s3: await freePort(0),
    simulator: await freePort(0),
  }
  const images = { runtime: `${project}-runtime`, release: `${project}-release`, build: `${project}-build` }
  writeFileSync(join(folder, 'override.yml'), overrideOf(project, images, ports))
  writeFileSync(join(folder, '.env'), '') // instead of the developer's
  return { project, folder, images, ports }
}

export function deploymentOf(plan: DeploymentPlan, docker: Docker): Deployment {
  const { images, ports } = plan
  const compose = composeOn(plan, docker)
  return {
    images,
    simulatorUrl: `http://127.0.0.1:${ports.simulator}`,
    compose,
    async build() {
      for (const target of ['release', 'runtime', 'build'] as const) {
        await docker(['build', '--target', target, '-t', images[target], root], { limitMs: BUILD_LIMIT_MS, show: 'stderr' })
      }
    },
    async up() {
      await compose(['up', '--detach', '--no-build', '--quiet-pull'], { limitMs: UP_LIMIT_MS })
      for (const deadline = Date.now() + UP_LIMIT_MS; ; await pause(HEALTHY_POLL_MS)) {
        const unhealthy = await unhealthyServices(compose)
        if (unhealthy.length === 0) return
        if (Date.now() > deadline) throw new Error(`Not healthy after ${UP_LIMIT_MS / 1000} s: ${unhealthy.join(', ')}`)
      }
    },
    async places() {
      const text = await compose(['exec', '-T', 'worker', 'cat', '/secrets/app/app.sh'])
      const secret = (name: string): string => new RegExp(`\\{${name}:=([^}]*)\\}`).exec(text)![1]!
      return {
        databaseUrl: Object.assign(new URL(secret('DATABASE_URL')), { host: `127.0.0.1:${ports.postgres}` }).href,
        s3: {
          ...BUCKET,
          endpoint: `http://127.0.0.1:${ports.s3}`,
          accessKeyId: secret('WASABI_ACCESS_KEY'),
          secretAccessKey: secret('WASABI_SECRET_KEY'),
        },
        temporal: { address: `127.0.0.1:${ports.temporal}`, namespace: 'default' },
        spoolDirectories: [],
      }
    },
  }
}

/** Removes containers, networks, volumes, images and files. Layers stay in the builder's cache, as after every build. */
export async function removeDeployment(plan: DeploymentPlan, docker: Docker): Promise<void> {
  await composeOn(plan, docker)(['down', '--volumes', '--remove-orphans', '--timeout', '5'])
  const names = Object.values(plan.images).flatMap((name) => ['--filter', `reference=${name}`])
  const built = await docker(['image', 'ls', '--quiet', ...names])
  if (built !== '') await docker(['image', 'rm', '--no-prune', '--force', ...new Set(built.split('\n'))])
  rmSync(plan.folder, { recursive: true })
}

function composeOn({ project, folder }: DeploymentPlan, docker: Docker): Docker {
  const files = ['-f', join(root, 'docker-compose.yml'), '-f', join(folder, 'override.yml')]
  const options = ['-p', project, '--env-file', join(folder, '.env'), ...files]
  return (args, more) => docker(['compose', ...options, ...args], more)
}

/** Services that should run and do not, or whose health check has not succeeded. */
async function unhealthyServices(compose: Docker): Promise<string[]> {
  const lines = (await compose(['ps', '--all', '--format', 'json'])).split('\n').filter(Boolean)
  const containers = lines.map((line) => JSON.parse(line) as { Service: string; State: string; Health: string; ExitCode: number })
  return containers
    .filter(({ State, Health, ExitCode }) => !(State === 'running' && Health === 'healthy') && !(State === 'exited' && ExitCode === 0))
    .map(({ Service, State, Health }) => `${Service} is ${State} ${Health}`)
}

/** What differs from docker-compose.yml: nothing that a container may do. */
function overrideOf(project: string, images: Images, ports: Ports): string {
  const secret = randomBytes(24).toString('hex')
  const exotel = {
    EXOTEL_WEBHOOK_SECRET: secret,
    EXOTEL_WEBHOOK_BASIC: `exotel:${secret}`,
    EXOTEL_ACCOUNT_SID: ACCOUNT,
    EXOTEL_API_KEY: randomBytes(20).toString('hex'),
    EXOTEL_API_TOKEN: randomBytes(20).toString('hex'),
    EXOTEL_API_BASE_URL: 'http://exotel:4010',
    EXOTEL_RECORDING_HOSTS: 'exotel:4010',
    EXOTEL_ALLOW_LOCAL: 'true',
    RECORDING_WAIT_SCALE: WAIT_SCALE,
  }
  const simulator = {
    ...exotel,
    SIMULATOR_HOST: '0.0.0.0',
    SIMULATOR_PORT: '4010',
    SIMULATOR_API_URL: 'http://api:3000',
    SIMULATOR_PUBLIC_URL: 'http://exotel:4010',
    SIMULATOR_PRESIGNED_URL: 'http://exotel-files:4010',
  }
  const health = `fetch('http://127.0.0.1:4010/health/ready').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))`
  const own = (image: string): string => `{ image: ${image}, build: !reset null, env_file: !reset [] }`
  const published = (host: number, container: number): string => `ports: !override ['127.0.0.1:${host}:${container}']`
  return `services:
  prepare: { image: ${images.runtime}, build: !reset null }
  migrate: ${own(images.release)}
  temporal-setup: ${own(images.runtime)}
  postgres: { ${published(ports.postgres, 5432)} }
  temporal: { ${published(ports.temporal, 7233)} }
  s3: { ${published(ports.s3, 7070)} }
  api:
    container_name: ${project}-api
    image: ${images.runtime}
    build: !reset null
    env_file: !reset []
    ${published(ports.api, 3000)}
    environment: ${JSON.stringify(exotel)}
  worker:
    image: ${images.runtime}
    build: !reset null
    env_file: !reset []
    environment: ${JSON.stringify(exotel)}
  exotel:
    image: ${images.build}
    command: ['node', '--import', 'tsx', 'testing/simulator/main.ts']
    ${published(ports.simulator, 4010)}
    environment: ${JSON.stringify(simulator)}
    networks: { default: { aliases: [exotel-files] } }
    healthcheck: { test: ['CMD', 'node', '-e', ${JSON.stringify(health)}], interval: 1s, timeout: 3s, retries: 60 }
`
}
