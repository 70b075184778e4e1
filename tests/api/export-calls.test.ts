// Exports of calls: what the file contains, who may have it, and what remains of it.
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { get } from '../support/accounts.ts'
import { startBackend, type Backend } from '../support/backend.ts'
import { eventually } from '../support/eventually.ts'
import { colleague, type Colleague } from '../support/roles.ts'
import { newCallSid } from '../support/servers.ts'
import { postWebhook } from '../support/webhook.ts'

const PATH = '/api/exports/calls'

let backend: Backend
let operator: Colleague
let viewer: Colleague
beforeAll(async () => {
  backend = await startBackend({ start: ['api'], env: { RATE_LIMIT_GENERAL: '10000' } })
  ;[operator, viewer] = await Promise.all([colleague(backend, 'operator'), colleague(backend, 'viewer')])
})
afterAll(() => backend?.stop())
beforeEach(async () => {
  await backend.database.query('TRUNCATE calls, recordings, recording_attempts CASCADE')
})

const exported = (query: string, { headers }: Colleague = operator) => fetch(`${backend.apiUrl}${PATH}${query}`, { headers })
const accesses = async () =>
  (await backend.database.query<{ kind: string; filters: object; user_email: string }>('SELECT * FROM recording_accesses ORDER BY id')).rows

async function endedCall(fields: Record<string, string> = {}): Promise<string> {
  const callSid = newCallSid()
  await postWebhook(backend.apiUrl, 'call-end', { CallSid: callSid, Status: 'completed', ...fields })
  return callSid
}

/** Inserts calls, one per second before now. */
async function insertCalls(count: number): Promise<void> {
  await backend.database.query(
    `INSERT INTO calls (call_sid, status, from_number, custom_field, started_at, recording_state)
     SELECT 'export' || n, 'completed', '+9198' || lpad(n::text, 8, '0'), repeat('text ', 20), now() - make_interval(secs => n), 'none'
     FROM generate_series(1, $1::int) AS n`,
    [count],
  )
}

test('When calls are exported as CSV, then phone numbers are unchanged, formulas are harmless, and cells can contain any text', async () => {
  const callSid = await endedCall({ From: '+919876543210', To: '09876543210', CustomField: '=HYPERLINK("http://evil"),\nnext line' })
  const response = await exported('')
  expect(response.headers.get('content-type')).toMatch(/^text\/csv/)
  expect(response.headers.get('content-disposition')).toBe('attachment; filename="calls.csv"')
  const [header, ...rest] = (await response.text()).split('\r\n')
  expect(header).toMatch(/^callSid,time,status,direction,from,to,/)
  const line = rest.join('\r\n')
  expect(line).toContain(`${callSid},`)
  expect(line).toContain(',+919876543210,09876543210,')
  expect(line).toContain(`"'=HYPERLINK(""http://evil""),\nnext line"`)
})

test.each(['=1+1', '+1+1', '-1', '@SUM(A1)', '\t=1', ' =1', '＝1', '|calc', '%x'])(
  'When a text is %j, then a spreadsheet does not calculate it',
  async (text) => {
    await endedCall({ CustomField: text })
    const csv = await (await exported('')).text()
    const trimmed = text.trim()
    expect(csv).toMatch(new RegExp(`,"?'\\s*${trimmed.replaceAll(/[+|()]/g, '\\$&')}`))
  },
)

test('When calls are exported as JSON Lines, then each line is a call, with its values as they are', async () => {
  const callSid = await endedCall({ CustomField: '=1+1', From: '09876543210' })
  const response = await exported('?format=jsonl')
  expect(response.headers.get('content-type')).toMatch(/^application\/jsonl/)
  const lines = (await response.text()).trimEnd().split('\n')
  expect(lines.map((line) => JSON.parse(line) as object)).toEqual([
    expect.objectContaining({ callSid, customField: '=1+1', from: '09876543210', state: 'awaiting' }),
  ])
})

test('When there are more calls than one portion, then each is exported once, the newest first', async () => {
  await insertCalls(1203)
  const lines = (await (await exported('?format=jsonl')).text()).trimEnd().split('\n')
  expect(lines.map((line) => (JSON.parse(line) as { callSid: string }).callSid)).toEqual(
    Array.from({ length: 1203 }, (_, index) => `export${index + 1}`),
  )
})

test('When an export has filters, then it contains what matches, and its record says who exported what', async () => {
  await endedCall({ From: '09811111111' })
  const callSid = await endedCall({ From: '09876543210' })
  const before = (await accesses()).length
  const lines = (await (await exported('?format=jsonl&phone=3210')).text()).trimEnd().split('\n')
  expect(lines.map((line) => JSON.parse(line) as object)).toEqual([expect.objectContaining({ callSid })])
  expect((await accesses()).slice(before)).toMatchObject([
    { kind: 'export', filters: { phone: '3210' }, user_email: operator.person.email },
  ])
})

test('When nothing matches, then the file has only its header', async () => {
  expect(await (await exported('?errorCode=Nothing')).text()).toMatch(/^callSid,[^\n]*\r\n$/)
  expect(await (await exported('?errorCode=Nothing&format=jsonl')).text()).toBe('')
})

test('When the client disconnects, then the export ends, and others can follow', async () => {
  await insertCalls(50_000)
  for (let count = 0; count < 6; count += 1) {
    const leave = new AbortController()
    const response = await fetch(`${backend.apiUrl}${PATH}`, { headers: operator.headers, signal: leave.signal })
    await response.body!.getReader().read()
    leave.abort()
  }
  const last = await eventually('an export after those', async () => {
    const response = await exported('?errorCode=Nothing')
    return response.status === 200 && response.text()
  })
  expect(last).toContain('callSid')
})

test('When the request is not valid or not allowed, then nothing is exported and nothing is recorded', async () => {
  const before = (await accesses()).length
  for (const query of ['?format=xls', '?state=lost', '?from=yesterday', '?limit=5', '?cursor=x', '?phone=123'])
    expect(await get(backend.apiUrl, `${PATH}${query}`, operator.headers)).toMatchObject({ status: 422, body: { code: 'invalid_fields' } })
  expect(await get(backend.apiUrl, PATH, viewer.headers)).toMatchObject({ status: 403, body: { code: 'role_required' } })
  expect((await fetch(`${backend.apiUrl}${PATH}`, { method: 'HEAD', headers: operator.headers })).status).toBe(200)
  expect(await accesses()).toHaveLength(before)
})
