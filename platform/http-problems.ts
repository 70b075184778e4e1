// Errors that a client receives: RFC 9457 `application/problem+json` with a stable `code`. They are created only here.

/** code → HTTP status and title. The meaning of a code never changes. docs/errors.md is generated from this table. */
export const PROBLEMS = {
  bad_request: [400, 'The request is malformed'],
  malformed_json: [400, 'The JSON body is malformed or ambiguous'],
  unreadable_body: [400, 'The body cannot be read'],
  invalid_call_sid: [400, 'The CallSid is missing or invalid'],
  webhook_not_authenticated: [401, 'Webhook authentication failed'],
  not_authenticated: [401, 'Authentication required'],
  invalid_credentials: [401, 'Incorrect email or password'],
  refresh_token_invalid: [401, 'The refresh token has expired or was revoked'],
  webhook_address_refused: [403, 'Webhooks from this address are not allowed'],
  csrf_token_invalid: [403, 'The CSRF token is missing or invalid'],
  wrong_password: [403, 'Incorrect password'],
  reset_token_invalid: [403, 'The reset link is invalid or has expired'],
  verification_token_invalid: [403, 'The verification link is invalid or has expired'],
  registration_closed: [403, 'Registration is closed'],
  invitation_required: [403, 'Registration requires an invitation'],
  test_token_wrong: [403, 'The test token is wrong'],
  role_required: [403, 'The account lacks the role for this'],
  play_link_invalid: [403, 'The link to the recording is invalid or has expired'],
  not_found: [404, 'Not found'],
  object_missing: [404, 'The stored recording is missing'],
  method_not_allowed: [405, 'Method not allowed'],
  request_timeout: [408, 'The request was not received in time'],
  action_refused: [409, 'Not possible in the current state'],
  body_too_large: [413, 'The body is too large'],
  unsupported_media_type: [415, 'The content type is not supported'],
  unsupported_encoding: [415, 'The content encoding is not supported'],
  range_not_satisfiable: [416, 'The range is not part of the recording'],
  invalid_fields: [422, 'Fields are missing or invalid'],
  rate_limited: [429, 'Too many requests'],
  headers_too_large: [431, 'The headers are too large'],
  internal_error: [500, 'Internal server error'],
  database_unavailable: [503, 'The database is temporarily unavailable'],
  limits_unavailable: [503, 'Rate limiting is temporarily unavailable'],
  storage_unavailable: [503, 'The store of recordings is temporarily unavailable'],
  temporal_unavailable: [503, 'Temporal is temporarily unavailable'],
  mail_unavailable: [503, 'Sending mail is not configured'],
  busy: [503, 'The server is temporarily overloaded'],
} as const
export type ProblemCode = keyof typeof PROBLEMS

export interface FieldError {
  /** For example `address.city` or `tags.3`. Empty for the body as a whole. */
  field: string
  message: string
}

export class Problem extends Error {
  readonly code: ProblemCode
  readonly status: number
  readonly title: string
  readonly headers: Record<string, string>
  readonly errors: FieldError[]

  constructor(code: ProblemCode, detail: string, headers: Record<string, string>, errors: FieldError[]) {
    super(detail)
    this.name = 'Problem'
    this.code = code
    ;[this.status, this.title] = PROBLEMS[code]
    this.headers = headers
    this.errors = errors
  }

  toJSON() {
    const { title, status, code, message: detail, errors } = this
    return { type: 'about:blank', title, status, code, detail, ...(errors.length > 0 && { errors }) }
  }
}

/**
 * @param detail what is wrong with this request, without its secrets and phone numbers
 * @param errors which fields are wrong, and why
 */
export function problem(code: ProblemCode, detail: string, headers: Record<string, string> = {}, errors: FieldError[] = []): Problem {
  return new Problem(code, detail, headers, errors)
}
