import { expect, test } from '@jest/globals'
import { FileBusy, FileTurns, Superseded, type Attempt } from '../../recordings/file-turns.ts'

/** Work that runs until it is told to end. */
function openWork() {
  let end = (): void => {}
  const ended = new Promise<void>((resolve) => (end = resolve))
  const work = {
    began: false,
    end,
    run: async (signal: AbortSignal) => void ((work.began = true), (work.signal = signal), await ended),
  } as {
    began: boolean
    signal?: AbortSignal
    end: () => void
    run: (signal: AbortSignal) => Promise<void>
  }
  return work
}
const attempt = (scheduledMs: number, signal = new AbortController().signal): Attempt => ({ scheduledMs, signal })
const endsWhenAborted = (signal: AbortSignal) =>
  new Promise<never>((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))

test('When a later attempt comes, then the earlier one is aborted, and the later one begins after its end', async () => {
  const turns = new FileTurns()
  const [first, second] = [openWork(), openWork()]
  const one = turns.take('file', attempt(1), first.run)
  const two = turns.take('file', attempt(2), second.run)
  expect(first.signal!.reason).toBeInstanceOf(Superseded)
  expect(second.began).toBe(false)
  first.end()
  await one
  second.end()
  await two
  expect(second.began).toBe(true)
})

test('When several attempts wait for one, then only the latest of them runs', async () => {
  const turns = new FileTurns()
  const [first, last] = [openWork(), openWork()]
  const one = turns.take('file', attempt(1), first.run)
  let ran = 0
  const between = [2, 3, 4].map((scheduledMs) => turns.take('file', attempt(scheduledMs), async () => void (ran += 1)))
  const five = turns.take('file', attempt(5), last.run)
  for (const each of between) await expect(each).rejects.toThrow(Superseded)
  expect(last.began).toBe(false)
  first.end()
  await one
  last.end()
  await five
  expect(ran).toBe(0)
})

test('When an attempt arrives after one that was scheduled later, then it does nothing, and the later one goes on', async () => {
  const turns = new FileTurns()
  const later = openWork()
  const two = turns.take('file', attempt(2), later.run)
  await expect(turns.take('file', attempt(1), async () => 'written')).rejects.toThrow(Superseded)
  expect(later.signal!.aborted).toBe(false)
  later.end()
  await two
  expect(await turns.take('file', attempt(1), async () => 'written')).toBe('written')
})

test('When an earlier attempt does not end, then the later ones give up waiting, and none writes beside it', async () => {
  const turns = new FileTurns(50)
  const stuck = openWork()
  const one = turns.take('file', attempt(1), stuck.run)
  for (const scheduledMs of [2, 3]) {
    await expect(turns.take('file', attempt(scheduledMs), async () => 'written')).rejects.toThrow(FileBusy)
  }
  stuck.end()
  await one
  expect(await turns.take('file', attempt(4), async () => 'written')).toBe('written')
})

test('When an attempt is cancelled while it waits, then it ends at once', async () => {
  const turns = new FileTurns()
  const first = openWork()
  const one = turns.take('file', attempt(1), first.run)
  const cancel = new AbortController()
  const two = turns.take('file', attempt(2, cancel.signal), async () => 'written')
  cancel.abort(new Error('cancelled'))
  await expect(two).rejects.toThrow('cancelled')
  first.end()
  await one
})

test('When an attempt fails, then the next one runs', async () => {
  const turns = new FileTurns()
  const one = turns.take('file', attempt(1), endsWhenAborted)
  const two = turns.take('file', attempt(2), async () => 'written')
  await expect(one).rejects.toThrow(Superseded)
  expect(await two).toBe('written')
})
