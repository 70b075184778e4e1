// The first three figures again with 1,000,000 calls, recordings, events and attempts, and 10,000 open workflows.
import { setTimeout as pause } from 'node:timers/promises'
import type { BenchStack } from '../bench-stack.ts'
import { endOf, startProduct } from '../product.ts'

const ROWS = 1_000_000
const OPEN_WORKFLOWS = 10_000
const CONCURRENT = 16

export async function grow(stack: BenchStack, { dist, report }: { dist: string; report: (text: string) => void }): Promise<void> {
  await addRows(stack)
  report(`${ROWS} calls, recordings, events and attempts are inserted`)
  await openWorkflows(stack, dist)
  report(`${OPEN_WORKFLOWS} workflows are open`)
}

/** Calls of the last 100 days with one stored recording each. */
async function addRows({ database }: BenchStack): Promise<void> {
  const values = `generate_series(1, ${ROWS}) AS n`
  const at = `now() - n * interval '100 days' / ${ROWS}`
  await database.query(`INSERT INTO calls (call_sid, status, direction, from_number, to_number, ended_at, duration_seconds, recording_state,
      recording_state_since, recording_url, recording_date, created_at)
    SELECT 'grown' || n, 'completed', 'inbound', '09000000001', '08000000001', ${at}, 37, 'stored', ${at}, 'https://example.com/' || n, (${at})::date, ${at}
    FROM ${values}`)
  await database.query(`INSERT INTO recordings (call_sid, source_url, state, state_since, bucket, object_key, bytes, sha256, content_type, codec,
      sample_rate, channels, duration_seconds, created_at)
    SELECT 'grown' || n, 'https://recordings.exotel.com/' || n, 'stored', ${at}, 'grown', 'recordings/' || n, 294048, repeat('0', 64), 'audio/mpeg',
      'mp3', 8000, 1, 36.7, ${at}
    FROM ${values}`)
  await database.query(`INSERT INTO webhook_events (source, route, identity, call_sid, content_type, raw_body, relay_state, relayed_at, received_at)
    SELECT 'exotel', 'call-end', 'grown' || n, 'grown' || n, 'application/json', decode(repeat('00', 500), 'hex'), 'started', ${at}, ${at}
    FROM ${values}`)
  await database.query(`INSERT INTO recording_attempts (call_sid, source_url, identity, state, concluded_at)
    SELECT 'grown' || n, 'https://recordings.exotel.com/' || n, 'grown' || n, 'stored', ${at} FROM ${values}`)
  for (const table of ['calls', 'recordings', 'webhook_events', 'recording_attempts']) await database.query(`VACUUM ANALYZE ${table}`)
}

/** Calls that have ended and whose recording is not named yet. */
async function openWorkflows(stack: BenchStack, dist: string): Promise<void> {
  const product = await startProduct(stack, { dist })
  let opened = 0
  const open = async (): Promise<void> => {
    while (opened < OPEN_WORKFLOWS) {
      opened += 1
      await product.send('call-end', endOf(stack.newCallSid()))
    }
  }
  await Promise.all(Array.from({ length: CONCURRENT }, open))
  const pending = `SELECT count(*)::int AS count FROM webhook_events WHERE relay_state = 'pending'`
  while ((await stack.database.query<{ count: number }>(pending)).rows[0]!.count > 0) await pause(1000)
  await product.stop()
}
