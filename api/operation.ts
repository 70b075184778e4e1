// An operation of our own API is declared once: what it takes, gives and refuses. Its route and its page in the OpenAPI document
// are both made from that.
import { Router, type Request, type RequestHandler, type Response } from 'express'
import type { z } from 'zod'
import { problem, type FieldError, type ProblemCode } from '../platform/problem.ts'
import { methodNotAllowed } from './middleware/errors.ts'
import { jsonBody } from './middleware/json-body.ts'
import { dropBody } from './middleware/unwanted-body.ts'

export interface Operation<Body extends z.ZodType = z.ZodType, Answer extends z.ZodType = z.ZodType> {
  method: 'get' | 'post'
  path: string
  summary: string
  tag: string
  /**
   * How its caller shows who it is. `user` and `testToken` are checked by its `guards`; of the others, `handle` looks for a refresh
   * token in body or cookie, and for `anyToken` also for an access token.
   */
  security: 'none' | 'user' | 'testToken' | 'refreshToken' | 'anyToken'
  /** In order, before the body is read: limits, then who asks. */
  guards: readonly RequestHandler[]
  /** Fields that it does not name are refused. Absent: it takes none. */
  body?: Body
  /** The first is the usual one; 204 has no answer. */
  statuses: [number, ...number[]]
  answer?: Answer
  /** Beyond those that every operation of its kind may answer. */
  problems: ProblemCode[]
  handle(body: z.infer<Body>, request: Request, response: Response): Promise<z.infer<Answer> | void>
}

/** Ties the types of body and answer to its handler. */
export function operation<Body extends z.ZodType, Answer extends z.ZodType>(declared: Operation<Body, Answer>): Operation {
  return declared as unknown as Operation
}

/** @param refusalLimit how often an address may use methods that a path does not have */
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

/** @throws {Problem} `invalid_fields` naming each of them, never their values */
function validate<Schema extends z.ZodType>(schema: Schema, body: unknown): z.infer<Schema> {
  const result = schema.safeParse(body, { reportInput: true }) // so that what is missing is told from what is wrong
  if (result.success) return result.data
  throw problem('invalid_fields', 'Fields are missing or wrong', {}, result.error.issues.flatMap(describeIssue))
}

function describeIssue(issue: z.core.$ZodIssue): FieldError[] {
  const at = (more: PropertyKey[] = []): string => [...issue.path, ...more].join('.').slice(0, 100)
  if (issue.code === 'unrecognized_keys')
    return issue.keys.slice(0, 20).map((key) => ({ field: at([key]), message: 'is not a field of this request' }))
  const isMissing = issue.code === 'invalid_type' && issue.input === undefined
  return [{ field: at(), message: isMissing ? 'is missing' : issue.message.replace(/^Invalid input: /, '') }]
}
