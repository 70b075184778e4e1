import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { dist } from '../support/servers.ts'

test('When the workflows are bundled, then the bundle contains only packages of the Temporal SDK and its dependencies', () => {
  const code = readFileSync(join(dist, 'workflow-bundle.js'), 'utf8')
  const modules = [...code.matchAll(/^\/\*{3}\/ "(.+?)"$/gm)].map(([, path]) => path!)
  const packages = modules.map((path) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1]).filter((name) => name !== undefined)
  expect([...new Set(packages)].toSorted()).toEqual(['@temporalio/common', '@temporalio/workflow', 'long', 'ms', 'nexus-rpc'])
  const ours = modules.filter((path) => path.startsWith('./') && !path.includes('node_modules')).map((path) => path.split('/')[1])
  expect(new Set(ours.filter((folder) => !folder!.includes('.')))).toEqual(new Set(['contracts', 'workflows']))
})
