import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import express, { Router, type RequestHandler } from 'express'
import { z } from 'zod'
import { openApiDocument } from '../openapi.ts'
import { operation, type Operation } from '../operation.ts'
import { page } from '../page.ts'

const SWAGGER_FILES = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'))

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

/** The page that shows it. All of it is served by us. */
export function documentationPage(): Router {
  const router = Router()
  const script = `SwaggerUIBundle({ url: '/openapi.json', dom_id: '#page', deepLinking: true, validatorUrl: null })`
  router.get(
    '/',
    page({
      title: 'caly-backend API',
      scripts: ['/docs/files/swagger-ui-bundle.js', '/docs/start.js'],
      styles: ['/docs/files/swagger-ui.css'],
    }),
  )
  router.get('/start.js', (_request, response) => void response.type('js').send(script))
  router.use('/files', express.static(SWAGGER_FILES, { index: false, maxAge: '1d' }))
  return router
}
