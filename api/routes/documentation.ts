import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { RequestHandler, Router } from 'express'
import { z } from 'zod'
import { openApiDocument } from '../openapi.ts'
import { operation, type Operation } from '../operation.ts'
import { pageRoutes } from '../page.ts'

const SWAGGER_FILES = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'))
const START = `SwaggerUIBundle({ url: '/openapi.json', dom_id: '#page', deepLinking: true, validatorUrl: null })`

/** `/openapi.json`, which describes itself as well. */
export function openApiOperation(described: Operation[], guards: RequestHandler[]): Operation {
  const own: Operation = operation({
    method: 'get',
    path: '/openapi.json',
    summary: 'This document',
    tag: 'documentation',
    security: 'none',
    guards,
    statuses: [200],
    answer: z.looseObject({ openapi: z.string() }),
    problems: [],
    handle: async () => document as { openapi: string },
  })
  const document = openApiDocument([...described, own])
  return own
}

/** The page that shows this document. All its files are served by us. */
export function documentationPage(limit: RequestHandler): Router {
  const swagger = (name: string): string => readFileSync(join(SWAGGER_FILES, name), 'utf8')
  const scripts = { 'swagger-ui-bundle.js': swagger('swagger-ui-bundle.js'), 'start.js': START }
  return pageRoutes('/docs', { title: 'caly-backend API', scripts, styles: { 'swagger-ui.css': swagger('swagger-ui.css') } }, limit)
}
