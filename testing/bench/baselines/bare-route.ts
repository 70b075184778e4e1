// The baseline for webhooks: `bare-route.ts PORT DATABASE_URL SECRET`. One Express route that verifies the signature over the raw body and
// inserts one row. It is forked and ends with its parent.
import express from 'express'
import { createHmac, timingSafeEqual } from 'node:crypto'
import pg from 'pg'

const [port, databaseUrl, secret] = process.argv.slice(2) as [string, string, string]
const database = new pg.Pool({ connectionString: databaseUrl, max: 10 })
await database.query('CREATE TABLE IF NOT EXISTS bench_events (id bigserial PRIMARY KEY, call_sid text NOT NULL, raw_body bytea NOT NULL)')
process.once('disconnect', () => process.exit(0))

const app = express()
app.use(express.raw({ type: () => true }))
app.post('/webhooks/exotel/:route', async (request, response) => {
  const body = request.body as Buffer
  const expected = createHmac('sha1', secret).update(body).digest()
  const signature = Buffer.from(request.header('x-exotel-signature') ?? '', 'hex')
  if (signature.length !== expected.length || !timingSafeEqual(signature, expected)) return void response.sendStatus(401)
  const { CallSid } = JSON.parse(body.toString()) as { CallSid: string }
  await database.query({ name: 'insert', text: 'INSERT INTO bench_events (call_sid, raw_body) VALUES ($1, $2)', values: [CallSid, body] })
  response.json({ status: 'accepted', callSid: CallSid, duplicate: false })
})
app.listen(Number(port), '127.0.0.1', () => process.send!('ready'))
