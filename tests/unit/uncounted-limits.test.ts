import { afterAll, beforeAll, expect, test } from '@jest/globals'
import express from 'express'
import { pino } from 'pino'
import { createLimits } from '../../api/limits.ts'
import { errorHandler } from '../../api/middleware/errors.ts'
import { openPool } from '../../platform/database.ts'
import { serve, type Served } from '../support/serve.ts'

const LIMIT = 2
const SETTINGS = {
  RATE_LIMIT_LOGIN: LIMIT,
  RATE_LIMIT_REGISTRATION: LIMIT,
  RATE_LIMIT_FORGOT: LIMIT,
  RATE_LIMIT_GENERAL: LIMIT,
  RATE_LIMIT_FAILURES: LIMIT,
}

let server: Served
let pool: ReturnType<typeof openPool>
beforeAll(async () => {
  const logger = pino({ level: 'silent' })
  pool = openPool({ url: 'postgresql://postgres@127.0.0.1:1/x', poolSize: 1, logger })
  const limits = createLimits(pool, SETTINGS, logger)
  const app = express()
  app.get('/login', limits.perAddress('login'))
  app.get('/general', limits.perAddress('general'))
  app.use((_request, response) => void response.end())
  server = await serve(app.use(errorHandler(logger)))
})
afterAll(async () => {
  server?.close()
  await pool?.end()
})

test.each([
  ['/login', 503],
  ['/general', 200],
])('When PostgreSQL refuses connections, then requests for %s get %i, and none of them stays counted', async (path, status) => {
  const statuses: number[] = []
  for (let i = 0; i < LIMIT * 3; i += 1) {
    const response = await fetch(`${server.url}${path}`)
    statuses.push(response.status)
  }
  expect(new Set(statuses)).toEqual(new Set([status]))
})
