import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker'
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MIGRATION_LIST, readMigrations } from '../platform/migrations.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Does the same as `npm run build` in another folder. Processes that tests start then run the same code as in the image. */
export async function buildInto(dist: string): Promise<void> {
  const args = ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--outDir', dist, '--sourceMap', 'false']
  execFileSync(process.execPath, args, { cwd: root })
  const { code } = await bundleWorkflowCode({ workflowsPath: join(root, 'workflows'), logger: new DefaultLogger('ERROR') })
  writeFileSync(join(dist, 'workflow-bundle.js'), code)
  writeFileSync(join(dist, MIGRATION_LIST), JSON.stringify(readMigrations()))
}
