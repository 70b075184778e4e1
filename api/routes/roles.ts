// Accounts and their roles, for administrators.
import { z } from 'zod'
import type { AccountsContext } from '../../accounts/context.ts'
import { changeRole, listAccounts, ROLES } from '../../accounts/roles.ts'
import type { Limits } from '../limits.ts'
import { identityOf } from '../middleware/authenticate.ts'
import { requireRole } from '../middleware/require-role.ts'
import { operation, type Operation } from '../operation.ts'
import { plain } from '../plain.ts'
import { reason } from './call-actions.ts'
import { moment } from './call-parameters.ts'

const PAGE = 100

const account = z.strictObject({
  id: z.uuid(),
  email: z.string(),
  name: z.string(),
  role: z.enum(ROLES),
  active: z.boolean(),
  createdAt: moment,
})

export function roleOperations({ accounts, limits }: { accounts: AccountsContext; limits: Limits }): Operation[] {
  const admin = {
    tag: 'operations',
    security: 'user',
    role: 'admin',
    guards: [limits.perAddress('general'), requireRole(accounts, 'admin')],
    problems: [],
  } satisfies Partial<Operation>
  return [
    operation({
      ...admin,
      method: 'get',
      path: '/api/operations/accounts',
      summary: 'Lists verified accounts by their address',
      query: z.strictObject({ after: z.string().max(254).optional().meta({ description: 'The last address of the previous page' }) }),
      statuses: [200],
      answer: z.strictObject({ accounts: z.array(account) }),
      handle: async (_body, _request, _response, { query }) =>
        plain({ accounts: await listAccounts(accounts.database, { after: query.after ?? '', limit: PAGE }) }),
    }),
    operation({
      ...admin,
      method: 'post',
      path: '/api/operations/accounts/{accountId}/role',
      summary: 'Gives an account a role, which applies to its next request; not to the own account',
      parameters: z.strictObject({ accountId: z.uuid() }),
      body: z.strictObject({ role: z.enum(ROLES), reason }),
      statuses: [204],
      problems: ['action_refused'],
      async handle(body, _request, response, { path }) {
        const identity = identityOf(response)
        await limits.countAction(identity.userId)
        await changeRole(accounts.database, identity, { userId: path.accountId, ...body })
      },
    }),
  ]
}
