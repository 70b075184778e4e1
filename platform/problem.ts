// Errors that a client sees: RFC 9457 `application/problem+json` with a stable `code`. Made here and nowhere else.

/** code → HTTP status and title. Codes never change their meaning. */
const PROBLEMS = {
  bad_request: [400, 'The request is malformed'],
  unreadable_body: [400, 'The body cannot be read'],
  invalid_call_sid: [400, 'The CallSid is not usable'],
  webhook_not_authenticated: [401, 'The webhook does not prove its origin'],
  webhook_address_refused: [403, 'The webhook comes from an address that is not allowed'],
  not_found: [404, 'There is nothing at this address'],
  method_not_allowed: [405, 'The method is not allowed here'],
  body_too_large: [413, 'The body is too large'],
  unsupported_encoding: [415, 'The body has an encoding that is not accepted'],
  internal_error: [500, 'Something went wrong on our side'],
  database_unavailable: [503, 'The event cannot be recorded at the moment'],
} as const
export type ProblemCode = keyof typeof PROBLEMS

export class Problem extends Error {
  readonly code: ProblemCode
  readonly status: number
  readonly title: string
  readonly headers: Record<string, string>

  constructor(code: ProblemCode, detail: string, headers: Record<string, string>) {
    super(detail)
    this.code = code
    ;[this.status, this.title] = PROBLEMS[code]
    this.headers = headers
  }

  toJSON(): { type: string; title: string; status: number; code: ProblemCode; detail: string } {
    return { type: 'about:blank', title: this.title, status: this.status, code: this.code, detail: this.message }
  }
}

/** @param detail what is wrong with this very request, without any of its secrets or numbers */
export function problem(code: ProblemCode, detail: string, headers: Record<string, string> = {}): Problem {
  return new Problem(code, detail, headers)
}
