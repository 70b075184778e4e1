import type { Mistake } from './mistake.ts'

const SQL = { file: 'platform/direct-sql.ts', tests: ['tests/storage/direct-sql.test.ts'] }

/** Mistakes in how SQL templates and transactions run. */
export const sql: Mistake[] = [
  {
    ...SQL,
    breaks: 'a transaction that PostgreSQL rolled back counts as committed, and an outcome is lost',
    text: "if (command !== 'COMMIT') throw",
    replacement: 'if (false) throw',
    only: 'is not reported as committed',
  },
  {
    ...SQL,
    breaks: 'a failed transaction stays open on its connection, and later statements are lost with it',
    text: "await client.query('ROLLBACK').catch(breakOff)",
    replacement: '',
    only: 'When a transaction throws',
  },
  {
    ...SQL,
    breaks: 'a transaction that hangs keeps its locks',
    text: '      void client.end()\n',
    replacement: '',
    only: 'When a transaction takes too long',
  },
  {
    breaks: 'a fault of TLS counts as a permanent error, and stored recordings lack their row for an hour',
    file: 'platform/direct-sql.ts',
    text: 'return new ConnectionFailed(error instanceof Error ? error.message : String(error), { cause: error })',
    replacement: 'return error as Error',
    tests: ['tests/storage/database-outage.test.ts'],
    only: 'the server does not offer TLS',
  },
  {
    ...SQL,
    breaks: 'ids beyond 2^53 are rounded or are text',
    text: '    if (oid === INT8) return BigInt\n',
    replacement: '',
    only: 'then they arrive exactly',
  },
]
