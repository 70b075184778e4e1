// Runs that started under earlier code must continue under the current code. Saved histories are never changed. After a change to the
// workflow that is guarded by a patch, `RECORD_HISTORIES=1 npm test -- replay` adds the missing histories, under new names.
import { execFile as execFileCallback } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from '@jest/globals'
import { DeterminismViolationError } from '@temporalio/workflow'
import { Worker } from '@temporalio/worker'
import { binaries } from '../../dev/fetch-servers.mjs'
import type { FastTransferResult } from '../../contracts/recording.ts'
import { dist } from '../support/servers.ts'
import { BUSY_SPOOL, DAMAGED, failedAttempt, type Harness, LINK, openHarness, POLICY, type Run } from '../support/workflow-harness.ts'

const execFile = promisify(execFileCallback)
const folder = fileURLToPath(new URL('./histories', import.meta.url))
const bundle = readFileSync(join(dist, 'workflow-bundle.js'), 'utf8')
const WHOLE = { queue: 'spool-lab', file: 'f', bytes: 1, sha256: 'a' }
const FAST = { policy: { ...POLICY, fastPathMaxBytes: 1000 } }
const CONCLUDED: FastTransferResult = {
  kind: 'concluded',
  outcome: {
    state: 'stored',
    bucket: 'b',
    key: 'k',
    url: 'u',
    bytes: 1,
    sha256: 'a',
    audio: { contentType: 'audio/mpeg', extension: 'mp3' },
  },
}
/** This history is that of the first run. All others are those of the last run. */
const CONTINUED = 'continues-as-new'

/** Each path through the workflow. Runs of names that end with `open` are still open. */
const PATHS: Record<string, (harness: Harness) => Promise<Run>> = {
  stored: (harness) => ended(harness.start({ sourceUrls: [LINK] })),
  'not-recorded': (harness) => ended(harness.start({ status: 'busy' })),
  'missing-after-asking': (harness) => ended(harness.start({ status: 'completed', durationSeconds: 60 })),
  'named-by-the-api': (harness) =>
    ended(harness.start({ status: 'completed' }, { findRecording: async () => ({ kind: 'named', sourceUrl: LINK }) })),
  'waits-for-a-link-open': async (harness) => at('wait', await harness.start({ status: 'completed' })),
  'waits-between-tries-open': async (harness) =>
    at(
      'wait',
      await harness.start({ sourceUrls: [LINK] }, { downloadRecording: () => Promise.reject(failedAttempt('DownloadIncomplete')) }),
    ),
  'failed-after-tries': (harness) =>
    ended(
      harness.start(
        { sourceUrls: [LINK] },
        { downloadRecording: () => Promise.reject(failedAttempt('ExotelUnavailable', { queue: 'spool-lab' })) },
      ),
    ),
  'refused-then-renewed': (harness) =>
    ended(
      harness.start(
        { sourceUrls: [LINK] },
        { downloadRecording: () => Promise.reject(failedAttempt('ExotelUnauthorized')), renewLink: async () => ({ kind: 'renewed' }) },
      ),
    ),
  quarantined: (harness) => ended(harness.start({ sourceUrls: [LINK] }, { validateRecording: async () => DAMAGED })),
  'incomplete-then-quarantined': (harness) => {
    const spooled = { queue: 'spool-lab', file: 'f', bytes: 1, sha256: 'a', broken: { reason: 'cut off' } }
    return ended(
      harness.start(
        { sourceUrls: [LINK] },
        {
          validateRecording: async (input) => (input.spooled.broken ? DAMAGED : { kind: 'incomplete', reason: 'cut off' }),
          keepIncomplete: async () => ({ spooled }),
        },
      ),
    )
  },
  'signalled-twice': async (harness) => {
    const run = await harness.start({ sourceUrls: [LINK] })
    await run.signal({ sourceUrls: [`${LINK}2`] })
    return ended(run)
  },
  cancelled: async (harness) => {
    const run = await at('wait', await harness.start({ status: 'completed' }))
    await run.handle.cancel()
    return ended(run)
  },
  'resumed-on-its-worker': (harness) => {
    let attempts = 0
    const broken = failedAttempt('DownloadIncomplete', { queue: 'spool-lab', reachedBytes: 5 * 1024 ** 2, resumableBytes: 5 * 1024 ** 2 })
    const whole = { queue: 'spool-lab', file: 'f', bytes: 6 * 1024 ** 2, sha256: 'a' }
    return ended(
      harness.start({ sourceUrls: [LINK] }, { downloadRecording: async () => (++attempts === 1 ? Promise.reject(broken) : whole) }),
    )
  },
  'lost-worker': async (harness) => {
    let downloads = 0
    const download = async () => ({ queue: ++downloads === 1 ? 'spool-of-the-dead' : 'spool-lab', file: 'f', bytes: 1, sha256: 'a' })
    const run = await harness.start(
      { sourceUrls: [LINK] },
      { downloadRecording: download },
      { policy: { ...POLICY, spoolLostAfterMs: 1000 } },
    )
    await harness.untilConcluded(run)
    return ended(run)
  },
  'two-side-by-side': (harness) => {
    let downloads = 0
    return ended(
      harness.start(
        { sourceUrls: [LINK, `${LINK}2`] },
        { downloadRecording: async () => (++downloads === 1 ? Promise.reject(failedAttempt('RecordingNotFound')) : WHOLE) },
      ),
    )
  },
  'rate-limited': (harness) => {
    let downloads = 0
    return ended(
      harness.start(
        { sourceUrls: [LINK] },
        { downloadRecording: async () => (++downloads === 1 ? Promise.reject(failedAttempt('ExotelRateLimited')) : WHOLE) },
      ),
    )
  },
  'worker-with-a-long-queue': async (harness) => {
    let downloads = 0
    const answers = [true, false]
    const run = await harness.start(
      { sourceUrls: [LINK] },
      {
        downloadRecording: async () => ({ ...WHOLE, queue: ++downloads === 1 ? BUSY_SPOOL : 'spool-lab' }),
        checkSpool: async () => answers.shift()!,
      },
      { policy: { ...POLICY, spoolLostAfterMs: 1000 } },
    )
    await harness.untilConcluded(run)
    return ended(run)
  },
  [CONTINUED]: async (harness) => {
    const run = await harness.start(
      { sourceUrls: [LINK] },
      { downloadRecording: () => Promise.reject(failedAttempt('RecordingNotFound')) },
      { policy: { ...POLICY, continueAsNewAfterEvents: 50 } },
    )
    return ended(run)
  },
  'fast-path': (harness) => ended(harness.start({ sourceUrls: [LINK] }, { fastTransfer: async () => CONCLUDED }, FAST)),
  'fast-path-after-a-signal': async (harness) => {
    const run = await at('wait', await harness.start({ status: 'completed' }, { fastTransfer: async () => CONCLUDED }, FAST))
    await run.signal({ sourceUrls: [LINK] })
    return ended(run)
  },
  'fast-path-unfinished': (harness) =>
    ended(
      harness.start(
        { sourceUrls: [LINK] },
        { fastTransfer: async () => ({ kind: 'unfinished', reason: 'slow', queue: WHOLE.queue, spooled: WHOLE }) },
        FAST,
      ),
    ),
  'fast-path-failed-then-durable': (harness) =>
    ended(harness.start({ sourceUrls: [LINK] }, { fastTransfer: () => Promise.reject(failedAttempt('ExotelUnavailable')) }, FAST)),
  'fast-path-beside-durable': (harness) =>
    ended(harness.start({ sourceUrls: [LINK, `${LINK}2`] }, { fastTransfer: async () => CONCLUDED }, FAST)),
  'continued-from-a-long-history': (harness) => PATHS[CONTINUED]!(harness),
}

if (process.env.RECORD_HISTORIES) {
  test.each(Object.entries(PATHS))('record %s', async (name, play) => {
    const path = join(folder, `${name}.json`)
    if (existsSync(path)) return
    const harness = await openHarness()
    const { handle } = await play(harness)
    const runId = name === CONTINUED ? ['--run-id', handle.signaledRunId] : []
    const show = ['workflow', 'show', '--workflow-id', handle.workflowId, ...runId, '--output', 'json', '--address', harness.address]
    const { stdout } = await execFile(binaries.temporal(), show)
    writeFileSync(path, `${JSON.stringify(JSON.parse(stdout), withoutPlaces)}\n`)
    await harness.close()
  })
}

test.each(readdirSync(folder))('When the saved history %s is replayed, then the current code issues the same commands', async (name) => {
  await Worker.runReplayHistory({ workflowBundle: { code: bundle } }, JSON.parse(readFileSync(join(folder, name), 'utf8')))
})

test('When the workflow’s commands are changed without a patch, then the replay fails', async () => {
  const changed = bundle.replace(/\.download\)\(/, '.update)(')
  expect(changed).not.toBe(bundle)
  const history: unknown = JSON.parse(readFileSync(join(folder, 'stored.json'), 'utf8'))
  await expect(Worker.runReplayHistory({ workflowBundle: { code: changed } }, history)).rejects.toThrow(DeterminismViolationError)
})

test('When a path through the workflow is listed, then its history is saved', () => {
  expect(readdirSync(folder)).toEqual(expect.arrayContaining(Object.keys(PATHS).map((name) => `${name}.json`)))
})

/** Removes stack traces and identities, which name the machine that recorded the history. */
function withoutPlaces(name: string, value: unknown): unknown {
  return name === 'stackTrace' || name === 'identity' ? undefined : value
}

async function ended(starting: Run | Promise<Run>): Promise<Run> {
  const run = await starting
  await run.ended()
  return run
}

async function at(step: string, run: Run): Promise<Run> {
  for (let i = 0; i < 200 && (await run.status()).step !== step; i += 1) await run.status()
  return run
}
