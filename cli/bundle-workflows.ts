// Part of `npm run build`. Writes the workflow code as one bundle beside the compiled worker, so that workers need not bundle at their
// start, and the list of migrations, which the processes compare with the database.
import { bundleWorkflowCode } from '@temporalio/worker'
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { MIGRATION_LIST, readMigrations } from '../platform/migrations.ts'

const workflowsPath = fileURLToPath(new URL('../workflows', import.meta.url))
const target = fileURLToPath(new URL('../dist/workflow-bundle.js', import.meta.url))
const { code } = await bundleWorkflowCode({ workflowsPath })
await writeFile(target, code)
await writeFile(fileURLToPath(new URL(`../dist/${MIGRATION_LIST}`, import.meta.url)), JSON.stringify(readMigrations()))
