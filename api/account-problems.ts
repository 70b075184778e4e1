// Maps each AccountError to an HTTP problem. The status of the problem is in platform/http-problems.ts.
import type { AccountError, AccountErrorCode } from '../accounts/errors.ts'
import { problem, type Problem, type ProblemCode } from '../platform/http-problems.ts'

const PROBLEM_CODES: Record<AccountErrorCode, ProblemCode> = {
  invalid_credentials: 'invalid_credentials',
  wrong_password: 'wrong_password',
  password_not_accepted: 'invalid_fields',
  session_ended: 'not_authenticated',
  refresh_token_invalid: 'refresh_token_invalid',
  reset_token_invalid: 'reset_token_invalid',
  verification_token_invalid: 'verification_token_invalid',
  registration_closed: 'registration_closed',
  invitation_required: 'invitation_required',
  too_many_attempts: 'rate_limited',
  attempts_not_counted: 'limits_unavailable',
  busy: 'busy',
  role_required: 'role_required',
  role_not_changed: 'action_refused',
  account_unknown: 'not_found',
}

export function accountProblem({ code, message, field, retryAfterSeconds }: AccountError): Problem {
  const headers = retryAfterSeconds === undefined ? {} : { 'Retry-After': String(retryAfterSeconds) }
  if (field === undefined) return problem(PROBLEM_CODES[code], message, headers)
  return problem(PROBLEM_CODES[code], 'The password is not accepted', headers, [{ field, message }])
}
