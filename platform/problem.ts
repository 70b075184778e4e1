// Errors that a client sees: RFC 9457 `application/problem+json` with a stable `code`. Made here and nowhere else.

/** code → HTTP status and title. Codes never change their meaning. docs/errors.md is made from this. */
export const PROBLEMS = {
  bad_request: [400, 'The request is malformed'],
  malformed_json: [400, 'The body is not JSON that can be used'],
  unreadable_body: [400, 'The body cannot be read'],
  invalid_call_sid: [400, 'The CallSid is not usable'],
  webhook_not_authenticated: [401, 'The webhook does not prove its origin'],
  not_authenticated: [401, 'The request does not say who makes it'],
  invalid_credentials: [401, 'E-mail address and password do not fit'],
  refresh_token_invalid: [401, 'The refresh token is good no more'],
  webhook_address_refused: [403, 'The webhook comes from an address that is not allowed'],
  csrf_token_invalid: [403, 'The request does not show that our own page made it'],
  wrong_password: [403, 'The password is wrong'],
  reset_token_invalid: [403, 'The link is good no more'],
  verification_token_invalid: [403, 'The link is unknown, used, replaced or expired'],
  registration_closed: [403, 'Nobody can register here'],
  invitation_required: [403, 'Registration needs an invitation'],
  test_token_wrong: [403, 'The token is not the one for test routes'],
  not_found: [404, 'There is nothing at this address'],
  method_not_allowed: [405, 'The method is not allowed here'],
  request_timeout: [408, 'The request took too long to arrive'],
  body_too_large: [413, 'The body is too large'],
  unsupported_media_type: [415, 'The body is of a type that is not accepted'],
  unsupported_encoding: [415, 'The body has an encoding that is not accepted'],
  invalid_fields: [422, 'Fields are missing or wrong'],
  rate_limited: [429, 'Too many requests'],
  headers_too_large: [431, 'The headers are too large'],
  internal_error: [500, 'Something went wrong on our side'],
  database_unavailable: [503, 'The database is away at the moment'],
  limits_unavailable: [503, 'It cannot be checked at the moment how often this was tried'],
  mail_unavailable: [503, 'No mail can be sent from here'],
  busy: [503, 'Too much is going on at the moment'],
} as const
export type ProblemCode = keyof typeof PROBLEMS

export interface FieldError {
  /** `address.city`, `tags.3`; empty for the body as a whole. */
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
 * @param detail what is wrong with this very request, without any of its secrets or numbers
 * @param errors which fields are wrong, and why
 */
export function problem(code: ProblemCode, detail: string, headers: Record<string, string> = {}, errors: FieldError[] = []): Problem {
  return new Problem(code, detail, headers, errors)
}
