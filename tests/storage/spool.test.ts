import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statfsSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { SpoolFull } from '../../recordings/spool-space.ts'
import { Spool, SpoolUnusable } from '../../recordings/spool.ts'
import { eventually } from '../support/eventually.ts'
import { callSid, home, newCallSid } from '../support/servers.ts'

const LIMITS = { maxBytes: 1000, minFreeBytes: 0 }
let folder: string
let spool: Spool
beforeEach(async () => {
  folder = mkdtempSync(join(home, 'spool-'))
  spool = await Spool.open(folder, 'w', LIMITS, () => {})
})
afterEach(async () => {
  await spool.close()
  rmSync(folder, { recursive: true, force: true })
})

test('When a spool is opened twice, then the second is refused, and a spool that is opened after it was closed has the same task queue', async () => {
  await expect(Spool.open(folder, 'w', LIMITS, () => {})).rejects.toThrow(SpoolUnusable)
  await spool.close()
  const { queue } = spool
  spool = await Spool.open(folder, 'w', LIMITS, () => {})
  expect(spool.queue).toBe(queue)
})

test('When a killed worker has left its lock, then the next one waits until the lock is stale', async () => {
  const left = mkdtempSync(join(home, 'spool-'))
  mkdirSync(join(left, '.lock'))
  const next = await Spool.open(left, 'w', LIMITS, () => {})
  await next.close()
  rmSync(left, { recursive: true })
})

test('When a spool has lost its lock, then its process learns it', async () => {
  const lost = mkdtempSync(join(home, 'spool-'))
  const reasons: Error[] = []
  const open = await Spool.open(lost, 'w', LIMITS, (reason) => void reasons.push(reason))
  rmSync(join(lost, '.lock'), { recursive: true })
  await eventually('the report', async () => reasons.length > 0, 5000)
  await open.close()
  rmSync(lost, { recursive: true })
})

test('When two spools of one machine have the same name, then they have different task queues', async () => {
  const other = mkdtempSync(join(home, 'spool-'))
  const second = await Spool.open(other, 'w', LIMITS, () => {})
  expect(second.queue).not.toBe(spool.queue)
  await second.close()
  rmSync(other, { recursive: true })
})

test('When a file name is created, then it has no unchecked parts', () => {
  const file = spool.fileFor(callSid('a1'), 'https://x.test/../../etc/passwd')
  expect(file).toMatch(/^a1-[0-9a-f]{12}$/)
  expect(() => spool.path('../../etc/passwd')).toThrow()
})

test('When the limit or the disk leaves no space, then no more space is reserved', async () => {
  writeFileSync(spool.path(spool.fileFor(callSid('a1'), 'x')), Buffer.alloc(600))
  await spool.reserve(spool.fileFor(callSid('b1'), 'x'), 400)
  await expect(spool.reserve(spool.fileFor(callSid('c1'), 'x'), 1)).rejects.toThrow(SpoolFull)
  await spool.close()
  spool = await Spool.open(folder, 'w', { maxBytes: 1e12, minFreeBytes: 1e15 }, () => {})
  await expect(spool.reserve(spool.fileFor(callSid('d1'), 'x'), 1)).rejects.toThrow(/disk/)
})

test('When a file has reserved space that it has not written yet, then the disk does not have this space for another file', async () => {
  await spool.close()
  spool = await Spool.open(folder, 'w', { maxBytes: Number.MAX_SAFE_INTEGER, minFreeBytes: 0 }, () => {})
  const { bavail, bsize } = statfsSync(folder)
  const most = Math.floor(0.6 * bavail * bsize) // other programs use the disk too, so the sum is far from the limit
  await spool.reserve(spool.fileFor(callSid('a1'), 'x'), most)
  await expect(spool.reserve(spool.fileFor(callSid('b1'), 'x'), most)).rejects.toThrow(/disk of the spool/)
})

test('When a part is continued, then the bytes that it has already written are not counted twice', async () => {
  const { bavail, bsize } = statfsSync(folder)
  const share = (part: number): number => Math.floor(part * bavail * bsize)
  await spool.close()
  spool = await Spool.open(folder, 'w', { maxBytes: Number.MAX_SAFE_INTEGER, minFreeBytes: share(0.5) }, () => {})
  const file = spool.fileFor(callSid('a1'), 'x')
  writeFileSync(spool.path(file), '')
  truncateSync(spool.path(file), share(0.8)) // a sparse file: it has this size and occupies no space
  await spool.reserve(file, share(0.9))
  expect(await spool.files()).toEqual([file])
})

test('When many files request space at the same time, then no more is reserved than is available', async () => {
  const requests = Array.from({ length: 10 }, (_, i) => spool.reserve(spool.fileFor(callSid(`a${i}`), 'x'), 400))
  const outcomes = await Promise.allSettled(requests)
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(2)
})

test('When a writer has ended, also by an error, then the space that it reserved is released', async () => {
  const attempt = { scheduledMs: 1, signal: new AbortController().signal }
  for (const end of [() => undefined, () => Promise.reject(new Error('cut'))]) {
    const file = spool.fileFor(callSid('a1'), 'x')
    const writing = spool.asWriter(file, attempt, async () => {
      await spool.reserve(file, LIMITS.maxBytes)
      return end()
    })
    await writing.catch(() => {})
    await spool.asWriter(spool.fileFor(callSid('b1'), 'x'), attempt, () =>
      spool.reserve(spool.fileFor(callSid('b1'), 'x'), LIMITS.maxBytes),
    )
  }
})

test('When a download has just ended, then its file counts until it is deleted, also if it is kept for later', async () => {
  const [a, b, other] = [spool.fileFor(callSid('a1'), 'x'), spool.fileFor(callSid('b1'), 'x'), spool.fileFor(callSid('c1'), 'x')]
  await spool.reserve(other, 100) // lists the directory
  const attempt = { scheduledMs: 1, signal: new AbortController().signal }
  await spool.asWriter(a, attempt, async () => {
    await spool.reserve(a, 600)
    writeFileSync(spool.path(a), Buffer.alloc(600))
  })
  const reserve = (): Promise<void> => spool.reserve(b, 600)
  await expect(reserve()).rejects.toThrow(SpoolFull)
  await spool.asWriter(a, attempt, () => spool.setAside(a))
  await expect(reserve()).rejects.toThrow(SpoolFull)
  await spool.remove(a)
  await reserve()
})

test('When the length of a file is unknown, then a small spool still accepts it', async () => {
  expect(await spool.reserveNextStep(spool.fileFor(callSid('a1'), 'x'), 0)).toBeGreaterThan(0)
  await expect(spool.reserve(spool.fileFor(callSid('b1'), 'x'), LIMITS.maxBytes)).rejects.toThrow(SpoolFull)
})

test('When two incomplete files need the space of each other, then one is deleted and the other continues', async () => {
  const [a, b] = [spool.fileFor(callSid('a1'), 'x'), spool.fileFor(callSid('b1'), 'x')]
  for (const file of [a, b]) writeFileSync(spool.path(file), Buffer.alloc(600))
  await expect(spool.reserve(a, 800)).rejects.toThrow(SpoolFull)
  await spool.reserve(b, 800)
  expect(await spool.files()).toEqual([b])
})

test('When a note was truncated by a crash, then it is ignored', async () => {
  const file = spool.fileFor(callSid('a1'), 'x')
  await spool.writeNote(file, { validator: '"v"', totalBytes: 7 })
  expect(await spool.note(file)).toEqual({ validator: '"v"', totalBytes: 7 })
  writeFileSync(`${spool.path(file)}.json`, '{"valid')
  expect(await spool.note(file)).toEqual({})
})

test('When leftovers are removed, then files of open calls and of writers stay', async () => {
  const [open, closed, written, noted] = [newCallSid(), newCallSid(), newCallSid(), newCallSid()]
  for (const callSid of [open, closed, written]) {
    writeFileSync(spool.path(spool.fileFor(callSid, 'x')), 'x')
    await spool.writeNote(spool.fileFor(callSid, 'x'), {})
  }
  writeFileSync(join(folder, 'a person’s file'), 'x')
  await spool.writeNote(spool.fileFor(noted, 'x'), {})
  let finish = (): void => {}
  const writing = spool.asWriter(
    spool.fileFor(written, 'x'),
    { scheduledMs: 1, signal: new AbortController().signal },
    () => new Promise<void>((resolve) => (finish = resolve)),
  )
  const failed: string[] = []
  const removed = await spool.collectGarbage(
    async (callSid) => callSid === open,
    (file) => failed.push(file),
  )
  expect(failed).toEqual([])
  expect(removed.toSorted()).toEqual([spool.fileFor(closed, 'x'), spool.fileFor(noted, 'x')].toSorted())
  expect(existsSync(`${spool.path(spool.fileFor(noted, 'x'))}.json`)).toBe(false)
  expect((await spool.files()).toSorted()).toEqual([spool.fileFor(open, 'x'), spool.fileFor(written, 'x')].toSorted())
  finish()
  await writing
})

test.each(['.json', '.json.new', '.decoded', '.decoding'])(
  'When a killed worker has left only a file %s of a closed call, then it is removed',
  async (ending) => {
    const file = spool.fileFor(newCallSid(), 'x')
    const leftover = `${spool.path(file)}${ending}`
    writeFileSync(leftover, 'x')
    const failed: string[] = []
    expect(
      await spool.collectGarbage(
        async () => false,
        (name) => failed.push(name),
      ),
    ).toEqual([file])
    expect(failed).toEqual([])
    expect(readdirSync(folder).filter((name) => name !== '.lock')).toEqual([])
  },
)

test('When a file is kept while garbage collection checks whether its call is open, then the kept file stays', async () => {
  const file = spool.fileFor(newCallSid(), 'x')
  const kept = spool.keptFile(file)
  await spool.writeNote(kept, {})
  let keeping: Promise<void> | undefined
  const removed = await spool.collectGarbage(
    async () => {
      writeFileSync(spool.path(file), 'bytes')
      keeping = spool.setAside(file)
      await keeping
      return false
    },
    () => {},
  )
  expect(removed).toEqual([])
  await keeping
  expect(await spool.files()).toEqual([kept])
})
