// Creates the OpenAPI document from the same declarations as the routes.
import { z } from 'zod'
import { WEBHOOK_ROUTES } from '../exotel/call-event.ts'
import { PROBLEMS, type ProblemCode } from '../platform/http-problems.ts'
import { ACCESS_COOKIE, REFRESH_COOKIE } from './cookies.ts'
import type { Operation } from './operation.ts'

/** Increased with every change that a client could notice. */
const API_VERSION = '1.3.0'

const problemSchema = z.strictObject({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  code: z.enum(Object.keys(PROBLEMS) as ProblemCode[]),
  detail: z.string(),
  requestId: z.string(),
  errors: z.array(z.strictObject({ field: z.string(), message: z.string() })).optional(),
})

/** Problems of requests that do not reach an operation. */
const UNREADABLE: ProblemCode[] = ['bad_request', 'request_timeout', 'headers_too_large']
const ALWAYS: ProblemCode[] = [...UNREADABLE, 'method_not_allowed', 'internal_error', 'database_unavailable']
const WITH_BODY: ProblemCode[] = [
  'malformed_json',
  'body_too_large',
  'unsupported_media_type',
  'unsupported_encoding',
  'invalid_fields',
  'busy',
]

const WEBHOOK_PROBLEMS: ProblemCode[] = [
  ...UNREADABLE,
  'unreadable_body',
  'invalid_call_sid',
  'webhook_not_authenticated',
  'webhook_address_refused',
  'method_not_allowed',
  'body_too_large',
  'unsupported_encoding',
  'rate_limited',
  'internal_error',
  'database_unavailable',
  'busy',
]
const webhookAnswer = z.strictObject({ status: z.literal('accepted'), callSid: z.string().nullable(), duplicate: z.boolean() })

const SECURITY_SCHEMES = {
  accessToken: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'From login or refresh' },
  accessCookie: { type: 'apiKey', in: 'cookie', name: ACCESS_COOKIE, description: 'From login with `cookies: true`, or refresh' },
  refreshCookie: {
    type: 'apiKey',
    in: 'cookie',
    name: REFRESH_COOKIE,
    description: 'From login with `cookies: true`, or refresh. Used if the body has no refresh token',
  },
  csrfToken: {
    type: 'apiKey',
    in: 'header',
    name: 'X-CSRF-Token',
    description: 'Required for every POST with cookies: the `csrfToken` of the login',
  },
  exotelSignature: { type: 'apiKey', in: 'header', name: 'x-exotel-signature', description: 'HMAC-SHA1 of the raw body' },
  exotelBasic: { type: 'http', scheme: 'basic', description: 'EXOTEL_WEBHOOK_BASIC' },
  exotelToken: { type: 'apiKey', in: 'query', name: 'token', description: 'EXOTEL_WEBHOOK_TOKEN' },
  testToken: { type: 'http', scheme: 'bearer', description: 'DEV_TEST_TOKEN' },
}
/** One element suffices. All schemes of one element are required together. */
type Security = { [scheme in keyof typeof SECURITY_SCHEMES]?: [] }[]
const NOTHING = {}
const BY_REFRESH_COOKIE = { refreshCookie: [], csrfToken: [] } as const satisfies Security[number]

export function openApiDocument(operations: Operation[]): object {
  const paths: Record<string, Record<string, object>> = webhookPaths()
  for (const each of operations) paths[each.path] = { ...paths[each.path], [each.method]: describe(each) }
  return {
    openapi: '3.1.0',
    info: {
      title: 'caly-backend',
      version: API_VERSION,
      description: 'Errors are RFC 9457 problems with a stable `code`. RateLimit and Retry-After report the rate limits.',
    },
    paths,
    components: {
      schemas: { Problem: jsonSchema(problemSchema) },
      securitySchemes: SECURITY_SCHEMES,
    },
  }
}

function describe(operation: Operation): object {
  const { path, method, summary, tag, security, guards, role, parameters, query, body, answer, content, statuses, problems } = operation
  const codes: ProblemCode[] = [
    ...ALWAYS,
    ...(guards.length > 0 ? (['rate_limited'] as const) : []),
    ...(body ? WITH_BODY : []),
    ...(security === 'user' || security === 'testToken' ? (['not_authenticated'] as const) : []),
    ...(security === 'user' && method === 'post' ? (['csrf_token_invalid'] as const) : []),
    ...(role ? (['role_required'] as const) : []),
    ...(parameters ? (['not_found'] as const) : []),
    ...(query ? (['invalid_fields'] as const) : []),
    ...problems,
  ]
  const types = content
    ? Object.fromEntries(content.map((type) => [type, {}]))
    : answer && { 'application/json': { schema: jsonSchema(answer) } }
  const answers = statuses.map((status) => [status, { description: summary, ...(types && { content: types }) }])
  return {
    operationId: `${method} ${path}`.replaceAll(/[^a-z]+/gi, '_'),
    summary,
    tags: [tag],
    security: securityOf(security, method),
    ...((parameters ?? query) && { parameters: [...parametersOf('path', parameters), ...parametersOf('query', query)] }),
    ...(body && {
      requestBody: { required: !body.safeParse(undefined).success, content: { 'application/json': { schema: jsonSchema(body) } } },
    }),
    // A declared status is never a problem: `/health/ready` declares 503.
    responses: { ...problemResponses(codes), ...Object.fromEntries(answers) },
  }
}

/** @param schema of an object with a field for each parameter */
function parametersOf(where: 'path' | 'query', schema: z.ZodType | undefined): object[] {
  if (!schema) return []
  const { properties = {}, required = [] } = jsonSchema(schema) as { properties?: Record<string, object>; required?: string[] }
  return Object.entries(properties).map(([name, property]) => ({ name, in: where, required: required.includes(name), schema: property }))
}

function securityOf(security: Operation['security'], method: Operation['method']): Security {
  const byCookie: Security[number] = { accessCookie: [], ...(method === 'post' && { csrfToken: [] }) }
  switch (security) {
    case 'none':
      return []
    case 'user':
      return [{ accessToken: [] }, byCookie]
    case 'testToken':
      return [{ testToken: [] }]
    case 'refreshToken':
      return [NOTHING, BY_REFRESH_COOKIE]
    case 'anyToken':
      return [NOTHING, { accessToken: [] }, byCookie, BY_REFRESH_COOKIE]
  }
}

/** Exotel defines the fields of webhooks, so they have no schema here. */
function webhookPaths(): Record<string, Record<string, object>> {
  const content = Object.fromEntries(
    ['application/json', 'application/x-www-form-urlencoded', 'multipart/form-data'].map((type) => [type, { schema: { type: 'object' } }]),
  )
  const of = (route: string, method: 'get' | 'post'): object => ({
    operationId: `${method}_webhook_${route.replace('-', '_')}`,
    summary: method === 'get' ? `Receives a ${route} event from the Passthru applet` : `Receives a ${route} event`,
    tags: ['webhooks'],
    security: [{ exotelSignature: [] }, { exotelBasic: [] }, { exotelToken: [] }],
    ...(method === 'post' && { requestBody: { content } }),
    responses: {
      200: { description: 'Recorded', content: { 'application/json': { schema: jsonSchema(webhookAnswer) } } },
      ...problemResponses(WEBHOOK_PROBLEMS),
    },
  })
  return Object.fromEntries(
    WEBHOOK_ROUTES.map((route) => [`/webhooks/exotel/${route}`, { post: of(route, 'post'), get: of(route, 'get') }]),
  )
}

function problemResponses(codes: ProblemCode[]): Record<string, object> {
  const statuses = [...new Set(codes.map((code) => PROBLEMS[code][0]))]
  return Object.fromEntries(
    statuses.map((status) => [
      status,
      {
        description: codes.filter((code) => PROBLEMS[code][0] === status).join(', '),
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    ]),
  )
}

/** The schema as the sender sees it: fields with a default are optional. */
function jsonSchema(schema: z.ZodType): object {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'input' })
  return rest
}
