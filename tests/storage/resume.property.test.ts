import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { openWorkbench, type Workbench } from '../support/activities.ts'
import { answering, behaviors, VERSIONS, type Behavior } from '../support/changing-source.ts'
import { startScriptedServer, type ScriptedServer } from '../support/scripted-server.ts'
import { home, newCallSid } from '../support/servers.ts'

/** The states of file and note that a crash or a loss of power may leave after an attempt. */
const CRASHES = [
  'none',
  'none',
  'killed before the end',
  'note lost',
  'older note',
  'file lost',
  'tail of zeros',
  'shorter',
  'longer',
] as const
type Crash = (typeof CRASHES)[number]

let exotel: ScriptedServer
let bench: Workbench
let kept: string
beforeAll(async () => {
  exotel = await startScriptedServer()
  bench = await openWorkbench()
  kept = mkdtempSync(join(home, 'kept-'))
})
afterAll(async () => {
  await bench?.close()
  await exotel?.close()
  rmSync(kept, { recursive: true, force: true })
})

function newRecording() {
  const source = { callSid: newCallSid(), sourceUrl: `${exotel.url}/1.mp3` }
  const file = bench.spool.fileFor(source.callSid, source.sourceUrl)
  const path = bench.spool.path(file)
  const [keptFile, keptNote, olderNote] = ['file', 'note', 'older'].map((name) => join(kept, `${file}.${name}`)) as [string, string, string]
  const bytesOnDisk = () => bench.spool.bytesOf(file)
  return {
    file,
    path,
    /** Copies the files that would be left if the process were killed now. */
    keepState() {
      keep(path, keptFile)
      keep(`${path}.json`, keptNote)
    },
    async attempt(behavior: Behavior) {
      if (existsSync(`${path}.json`)) keep(`${path}.json`, olderNote)
      const answer = answering(behavior, async () => {
        const bytes = await bytesOnDisk()
        this.keepState()
        return bytes
      })
      exotel.script(answer)
      return bench.run('downloadRecording', source).catch((error: { type?: string }) => {
        if (error.type !== 'DownloadIncomplete') throw error
        return undefined
      })
    },
    crash(how: Crash) {
      const bytes = existsSync(path) ? statSync(path).size : 0
      if (how === 'killed before the end') {
        keep(keptFile, path)
        keep(keptNote, `${path}.json`)
      }
      if (how === 'note lost') rmSync(`${path}.json`, { force: true })
      if (how === 'older note' && existsSync(olderNote)) keep(olderNote, `${path}.json`)
      if (how === 'file lost') rmSync(path, { force: true })
      if (bytes === 0) return
      if (how === 'tail of zeros') writeFileSync(path, Buffer.concat([readFileSync(path).subarray(0, bytes / 2), Buffer.alloc(bytes / 2)]))
      if (how === 'shorter') truncateSync(path, Math.floor(bytes / 2))
      if (how === 'longer') writeFileSync(path, Buffer.alloc(1000, 7), { flag: 'a' })
    },
  }
}

function keep(from: string, to: string): void {
  rmSync(to, { force: true })
  if (existsSync(from)) copyFileSync(from, to)
}

test('When sources change, fail and send wrong ranges, then a complete file has the bytes of one version', async () => {
  const attempts = fc.array(fc.record({ behavior: behaviors, crash: fc.constantFrom(...CRASHES) }), { minLength: 2, maxLength: 6 })
  await fc.assert(
    fc.asyncProperty(attempts, async (steps) => {
      const recording = newRecording()
      for (const { behavior, crash } of steps) {
        const whole = await recording.attempt(behavior)
        if (whole) {
          const version = VERSIONS.find(({ sha256 }) => sha256 === whole.sha256)
          expect(version?.body.equals(readFileSync(recording.path))).toBe(true)
          return
        }
        expect((await bench.spool.note(recording.file)).complete).toBeUndefined()
        recording.crash(crash)
      }
    }),
    { numRuns: 120, timeout: 20_000 },
  )
})

test('When a source with a strong ETag does not change, then every interrupted transfer is resumed, and no byte is sent twice', async () => {
  const { body, sha256 } = VERSIONS[0]
  const honest = { version: 0, validators: 'strong ETag', ifRange: 'honored', range: 'honored', partialOnly: false, gzip: false } as const
  const cut = fc.record({
    cutAt: fc.double({ min: 0.01, max: 0.99, noNaN: true }),
    total: fc.constantFrom<Behavior['total']>('sent', '*'),
    contentLength: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(cut, { minLength: 1, maxLength: 6 }), async (cuts) => {
      const recording = newRecording()
      let reached = 0
      const expectRange = () =>
        expect(exotel.requests.map(({ headers }) => headers.range)).toStrictEqual([reached === 0 ? undefined : `bytes=${reached}-`])
      for (const [i, { cutAt, ...how }] of cuts.entries()) {
        // A 206 without a total is accepted only if the total is known, so the first response announces it.
        expect(await recording.attempt({ ...honest, ...how, cutAt, contentLength: how.contentLength || i === 0 })).toBeUndefined()
        expectRange()
        reached += Math.floor(cutAt * (body.length - reached))
        expect(await bench.spool.bytesOf(recording.file)).toBe(reached)
      }
      expect(await recording.attempt({ ...honest, total: 'sent', contentLength: true, cutAt: undefined })).toMatchObject({
        sha256,
      })
      expectRange()
    }),
    { numRuns: 25 },
  )
})
