/** Why an account operation is refused, as a stable code. `api/account-problems.ts` maps each code to an HTTP problem. */
export type AccountErrorCode =
  | 'invalid_credentials'
  | 'wrong_password'
  | 'password_not_accepted'
  | 'session_ended'
  | 'refresh_token_invalid'
  | 'reset_token_invalid'
  | 'verification_token_invalid'
  | 'registration_closed'
  | 'invitation_required'
  | 'too_many_attempts'
  | 'attempts_not_counted'
  | 'busy'
  | 'role_required'
  | 'role_not_changed'
  | 'account_unknown'

interface Details {
  /** The name of the rejected field in the request. */
  field?: string
  retryAfterSeconds?: number
}

/** An expected refusal. Its message is shown to the client. */
export class AccountError extends Error {
  readonly code: AccountErrorCode
  readonly field: string | undefined
  readonly retryAfterSeconds: number | undefined

  constructor(code: AccountErrorCode, message: string, { field, retryAfterSeconds }: Details = {}) {
    super(message)
    this.name = 'AccountError'
    this.code = code
    this.field = field
    this.retryAfterSeconds = retryAfterSeconds
  }
}
