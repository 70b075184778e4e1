import { requireBoundedBodies } from '../../platform/bounded-bodies.ts'
import { requireSupportedNode } from '../../platform/node-version.ts'
import { fault, messageOf, ok, warning, type CheckGroup } from './check.ts'

/** Whether API and worker start with this version of Node. */
export const nodeChecks: CheckGroup<'NODE_ENV' | 'ALLOW_OLD_NODE'> = {
  names: ['node'],
  needs: ['NODE_ENV', 'ALLOW_OLD_NODE'],
  async run(settings, { check }) {
    await check('node', async () => {
      let problem: string | undefined
      requireSupportedNode(settings, (text) => (problem = text))
      await requireBoundedBodies()
      return problem === undefined ? ok(`Node ${process.versions.node} is supported.`) : warning(`${problem}.`)
    })
  },
  explain: (error) => fault(`${messageOf(error)}.`),
}
