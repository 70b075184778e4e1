// What the runtime image contains, and what its containers may do.
import type { Deployment } from './deployment.ts'
import type { Docker } from './docker.ts'

const MAX_PACKAGES_MB = 200
/** Needed only to build, to bundle, or to migrate. */
const UNUSED_PACKAGES = [
  '@electric-sql/pglite',
  '@prisma/dev',
  '@prisma/engines',
  '@prisma/schema-engine-wasm',
  '@prisma/studio-core',
  '@swc/core',
  'effect',
  'elkjs',
  'prisma',
  'react',
  'react-dom',
  'source-map-loader',
  'swc-loader',
  'terser-webpack-plugin',
  'typescript',
]
const UNUSED_FILES = ['*.d.ts', '*.d.mts', '*.d.cts', '*.map']
/** Directories or files of which at most one may exist: that of this platform, and that of PostgreSQL. */
const ONE_OF = {
  'native cores': '/app/node_modules/@temporalio/core-bridge/releases/*',
  'query compilers': '/app/node_modules/@prisma/client/runtime/query_compiler_*_bg.*.mjs',
}
/** Imported by Temporal's worker, and empty: webpack itself has several MB. */
const EMPTY_PACKAGES = ['webpack', 'memfs', 'unionfs']
const MAX_EMPTY_KB = 16
const COMPILER_FILES = 2

/** @returns the size of the packages in MB @throws if they are too large, or contain what no process of the image needs */
export async function inspectPackages(image: string, docker: Docker): Promise<number> {
  const shell = (script: string): Promise<string> => docker(['run', '--rm', '--read-only', '--entrypoint', '/bin/sh', image, '-c', script])
  const kilobytes = async (path: string): Promise<number> => Number((await shell(`du -sk ${path}`)).split('\t')[0])
  const packagesMb = Math.round((await kilobytes('/app/node_modules')) / 1024)
  const problems: string[] = []
  if (packagesMb > MAX_PACKAGES_MB) problems.push(`the packages have ${packagesMb} MB, more than ${MAX_PACKAGES_MB}`)
  const packages = UNUSED_PACKAGES.map((name) => `-path '*/node_modules/${name}'`)
  const files = UNUSED_FILES.map((name) => `-type f -name '${name}'`)
  const unused = await shell(`find /app/node_modules ${[...packages, ...files].join(' -o ')} | head -n 5`)
  if (unused !== '') problems.push(`no process needs ${unused.split('\n').join(', ')}`)
  for (const [what, pattern] of Object.entries(ONE_OF)) {
    const found = (await shell(`ls -d ${pattern}`)).split('\n')
    if (found.length > (what === 'query compilers' ? COMPILER_FILES : 1)) problems.push(`it has several ${what}: ${found.join(', ')}`)
  }
  for (const name of EMPTY_PACKAGES) {
    if ((await kilobytes(`/app/node_modules/${name}`)) > MAX_EMPTY_KB) problems.push(`${name} is not an empty package`)
  }
  if (problems.length > 0) throw new Error(`The runtime image is not as it should be: ${problems.join('; ')}.`)
  return packagesMb
}

/** @throws unless every container is confined as docker-compose.yml says, and API and worker can neither write nor use capabilities */
export async function inspectConfinement({ compose }: Deployment, docker: Docker): Promise<void> {
  const ids = (await compose(['ps', '--all', '--quiet'])).split('\n')
  const containers = JSON.parse(await docker(['inspect', ...ids])) as Container[]
  const problems = containers.filter(({ Name }) => !/-exotel-\d+$/.test(Name)).flatMap(problemsOf)
  for (const service of ['api', 'worker']) {
    const script = 'grep CapEff /proc/1/status; id -u; touch /app/file /etc/file 2>/dev/null && echo writable || echo read-only'
    const output = (await compose(['exec', '-T', service, '/bin/sh', '-c', script])).replaceAll(/\s+/g, ' ')
    if (output !== 'CapEff: 0000000000000000 1000 read-only') problems.push(`${service}: ${output}`)
  }
  if (problems.length > 0) throw new Error(`Containers are not confined: ${problems.join('; ')}.`)
}

interface Container {
  Name: string
  HostConfig: {
    ReadonlyRootfs: boolean
    CapDrop: string[] | null
    CapAdd: string[] | null
    Privileged: boolean
    SecurityOpt: string[] | null
  }
}

function problemsOf({ Name, HostConfig: { ReadonlyRootfs, CapDrop, CapAdd, Privileged, SecurityOpt } }: Container): string[] {
  const asRoot = /-(postgres|prepare)-\d+$/.test(Name) // give volumes to their users at their start
  return [
    ...(ReadonlyRootfs ? [] : [`${Name} can write to its image`]),
    ...(CapDrop?.includes('ALL') && (asRoot || !CapAdd?.length) && !Privileged ? [] : [`${Name} has capabilities`]),
    ...(SecurityOpt?.some((option) => option.startsWith('no-new-privileges')) ? [] : [`${Name} can get new privileges`]),
  ]
}
