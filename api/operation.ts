// An operation of our own API is declared once: its input, output and problems. Its route and its entry in the OpenAPI document are
// created from this declaration.
import { Router, type Request, type RequestHandler, type Response } from 'express'
import type { z } from 'zod'
import type { Role } from '../accounts/roles.ts'
import { problem, type FieldError, type ProblemCode } from '../platform/http-problems.ts'
import { methodNotAllowed } from './middleware/errors.ts'
import { jsonBody } from './middleware/json-body.ts'
import { dropBody } from './middleware/unwanted-body.ts'

/** The validated parameters of a request. */
interface Parameters<Path extends z.ZodType = z.ZodType, Query extends z.ZodType = z.ZodType> {
  path: z.infer<Path>
  query: z.infer<Query>
}

export interface Operation<
  Body extends z.ZodType = z.ZodType,
  Answer extends z.ZodType = z.ZodType,
  Path extends z.ZodType = z.ZodType,
  Query extends z.ZodType = z.ZodType,
> {
  method: 'get' | 'post'
  /** As in OpenAPI: `/calls/{callSid}`. */
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
  /** The role that one of the guards requires. */
  role?: Role
  /** Parameters in the path. A value that is not valid names nothing, so the answer is 404. */
  parameters?: Path
  /** Parameters after `?`. Unknown ones are rejected. */
  query?: Query
  /** Unknown fields are rejected. Absent if the operation takes no body. */
  body?: Body
  /** The first one is the default. 204 has no `answer`. */
  statuses: [number, ...number[]]
  answer?: Answer
  /** Media types of the answer if it is not JSON. Then `handle` sends the response. */
  content?: readonly string[]
  /** In addition to those of every operation of its kind. */
  problems: ProblemCode[]
  handle(body: z.infer<Body>, request: Request, response: Response, parameters: Parameters<Path, Query>): Promise<z.infer<Answer> | void>
}

/** Checks that the types of `body`, `answer` and the parameters match those of `handle`. */
export function operation<Body extends z.ZodType, Answer extends z.ZodType, Path extends z.ZodType, Query extends z.ZodType>(
  declared: Operation<Body, Answer, Path, Query>,
): Operation {
  return declared as unknown as Operation
}

/** @param refusalLimit limits the requests of an address with methods that a path does not support */
export function operationRoutes(operations: Operation[], refusalLimit: RequestHandler): Router {
  const router = Router({ strict: false })
  for (const path of new Set(operations.map((each) => each.path))) {
    const group = operations.filter((each) => each.path === path)
    const route = path.replaceAll(/\{(\w+)\}/g, ':$1')
    for (const each of group) router[each.method](route, ...each.guards, ...(each.body ? [jsonBody] : []), run(each))
    router.all(
      route,
      dropBody,
      refusalLimit,
      methodNotAllowed(group.flatMap(({ method }) => (method === 'get' ? ['GET', 'HEAD'] : ['POST']))),
    )
  }
  return router
}

function run({ body, answer, content, statuses, parameters, query, handle }: Operation): RequestHandler {
  return async (request, response) => {
    const path = parameters?.safeParse(request.params)
    if (path?.success === false) throw problem('not_found', 'There is no such resource')
    const given = { path: path?.data, query: query && validate(query, request.query) }
    const read = body ? validate(body, request.body) : undefined
    response.status(statuses[0]).set('cache-control', 'no-store')
    const result = await handle(read, request, response, given)
    if (content) return
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
