// Compares responses with the OpenAPI document.
import { z } from 'zod'

interface Media {
  /** Absent: the content is not JSON. */
  schema?: Record<string, unknown>
}

interface DocumentedOperation {
  operationId: string
  security: Record<string, string[]>[]
  responses: Record<string, { description: string; content?: Record<string, Media> }>
}

export interface OpenApiDocument {
  paths: Record<string, Record<string, DocumentedOperation>>
  components: { schemas: { Problem: Record<string, unknown> }; securitySchemes: Record<string, Record<string, string>> }
}

export interface Exchange {
  /** HTTP method in lower case. */
  method: string
  path: string
  status: number
  contentType: string | null
  body: string
}

/** @returns the deviations of this response from the document */
export function undocumented(document: OpenApiDocument, { method, path, status, contentType, body }: Exchange): string[] {
  const name = `${method.toUpperCase()} ${path} ${status}`
  const response = document.paths[path]?.[method]?.responses[String(status)]
  if (!response) return [`${name} is not in the document`]
  const type = contentType?.split(';')[0] ?? ''
  if (!response.content) return body === '' ? [] : [`${name} has a body`]
  const media = response.content[type] ?? response.content[`${type.split('/')[0]}/*`]
  if (!media) return [`${name} has the type ${type}, not ${Object.keys(response.content).join(' or ')}`]
  if (!media.schema) return [] // bytes
  const schema = media.schema.$ref === '#/components/schemas/Problem' ? document.components.schemas.Problem : media.schema
  const checked = z.fromJSONSchema(schema).safeParse(JSON.parse(body))
  if (!checked.success) return [`${name}: ${checked.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`).join('; ')}`]
  const code = type === 'application/problem+json' ? (JSON.parse(body) as { code: string }).code : undefined
  return code === undefined || response.description.split(', ').includes(code) ? [] : [`${name} does not name the code ${code}`]
}
