// Part of `npm run build`: the workflow code as one file beside the compiled worker, so that no worker bundles at its start.
import { bundleWorkflowCode } from '@temporalio/worker'
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

const workflowsPath = fileURLToPath(new URL('../workflows', import.meta.url))
const target = fileURLToPath(new URL('../dist/workflow-bundle.js', import.meta.url))
const { code } = await bundleWorkflowCode({ workflowsPath })
await writeFile(target, code)
