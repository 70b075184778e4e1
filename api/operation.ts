// An operation of our own API is declared once: its input, output and problems. Its route and its entry in the OpenAPI document are
// created from this declaration.
import { Router, type Request, type RequestHandler, type Response } from 'express'
import type { z } from 'zod'
import { problem, type FieldError, type ProblemCode } from '../platform/http-problems.ts'
import { methodNotAllowed } from './middleware/errors.ts'
import { jsonBody } from './middleware/json-body.ts'
import { dropBody } from './middleware/unwanted-body.ts'

export interface Operation<Body extends z.ZodType = z.ZodType, Answer extends z.ZodType = z.ZodType> {
  method: 'get' | 'post'
  path: string
  summary: string
  tag: string
  /**
   * How the caller authenticates. `guards` check `user` and `testToken`. For the other two, `handle` reads a refresh token from the body
   * or cookie, and for `anyToken` also an access token.
   */
  security: 'none' | 'user' | 'testToken' | 'refreshToken' | 'anyToken'
  /** Run in this order before the body is read: limits, then authentication. */
  guards: readonly RequestHandler[]
  /** Unknown fields are rejected. Absent if the operation takes no body. */
  body?: Body
  /** The first one is the default. 204 has no `answer`. */
  statuses: [number, ...number[]]
  answer?: Answer
  /** In addition to those of every operation of its kind. */
  problems: ProblemCode[]
  handle(body: z.infer<Body>, request: Request, response: Response): Promise<z.infer<Answer> | void>
}

/** Checks that the types of `body` and `answer` match those of `handle`. */
export function operation<Body extends z.ZodType, Answer extends z.ZodType>(declared: Operation<Body, Answer>): Operation {
  return declared as unknown as Operation
}

/** @param refusalLimit limits the requests of an address with methods that a path does not support */
export function operationRoutes(operations: Operation[], refusalLimit: RequestHandler): Router {
  const router = Router({ strict: false })
  for (const path of new Set(operations.map((each) => each.path))) {
    const group = operations.filter((each) => each.path === path)
    for (const each of group) router[each.method](path, ...each.guards, ...(each.body ? [jsonBody] : []), run(each))
    router.all(
      path,
      dropBody,
      refusalLimit,
      methodNotAllowed(group.flatMap(({ method }) => (method === 'get' ? ['GET', 'HEAD'] : ['POST']))),
    )
  }
  return router
}

function run({ body, answer, statuses, handle }: Operation): RequestHandler {
  return async (request, response) => {
    const given = body ? validate(body, request.body) : undefined
    response.status(statuses[0]).set('cache-control', 'no-store')
    const result = await handle(given, request, response)
    if (answer) response.json(answer.parse(result))
    else response.end()
  }
}

/** @throws {Problem} `invalid_fields` with the names of the fields, never with their values */
function validate<Schema extends z.ZodType>(schema: Schema, body: unknown): z.infer<Schema> {
  const result = schema.safeParse(body, { reportInput: true }) // distinguishes missing fields from invalid ones
  if (result.success) return result.data
  throw problem('invalid_fields', 'Fields are missing or invalid', {}, result.error.issues.flatMap(describeIssue))
}

function describeIssue(issue: z.core.$ZodIssue): FieldError[] {
  const at = (more: PropertyKey[] = []): string => [...issue.path, ...more].join('.').slice(0, 100)
  if (issue.code === 'unrecognized_keys')
    return issue.keys.slice(0, 20).map((key) => ({ field: at([key]), message: 'is not a field of this request' }))
  const isMissing = issue.code === 'invalid_type' && issue.input === undefined
  return [{ field: at(), message: isMissing ? 'is missing' : issue.message.replace(/^Invalid input: /, '') }]
}
