import type { RequestHandler } from 'express'
import type { AccountsContext } from '../../accounts/context.ts'
import { includesRole, type Role } from '../../accounts/roles.ts'
import { problem } from '../../platform/http-problems.ts'
import { currentUser, notAuthenticated } from './authenticate.ts'

/** Accepts users with this role or a higher one. The role is read from the account's row, so a lost role ends the access at once. */
export function requireRole(accounts: AccountsContext, needed: Role): RequestHandler {
  return async (request, response, next) => {
    const identity = await currentUser(accounts, request)
    response.locals.identity = identity
    if (!identity) return next(notAuthenticated(request))
    next(includesRole(identity.role, needed) ? undefined : roleRequired(needed))
  }
}

export function roleRequired(needed: Role): Error {
  return problem('role_required', `This needs the role ${needed}: an administrator can give it to your account`)
}
