import { setImmediate } from 'node:timers/promises'
import { expect, test } from '@jest/globals'
import { FileBusy, FileTurns, Superseded, type Attempt } from '../../recordings/file-turns.ts'

/** Starts a turn whose work runs until `end` is called. Resolves when the work has started. */
async function startTurn(turns: FileTurns, scheduledMs: number) {
  let end = (): void => {}
  let result: Promise<void> | undefined
  const signal = await new Promise<AbortSignal>((started) => {
    result = turns.take('file', attempt(scheduledMs), (own) => {
      started(own)
      return new Promise((resolve) => (end = resolve))
    })
  })
  return { signal, end, result: result! }
}
const attempt = (scheduledMs: number, signal = new AbortController().signal): Attempt => ({ scheduledMs, signal })
const write = async () => 'written'

test('When a later attempt arrives, then the earlier one is aborted, and the later one starts after its end', async () => {
  const turns = new FileTurns()
  const first = await startTurn(turns, 1)
  let started = false
  const second = turns.take('file', attempt(2), async () => void (started = true))
  expect(first.signal.reason).toBeInstanceOf(Superseded)
  await setImmediate() // everything that does not wait for the first attempt has run
  expect(started).toBe(false)
  first.end()
  await second
  expect(started).toBe(true)
})

test('When several attempts wait for a running one, then only the latest of them runs', async () => {
  const turns = new FileTurns()
  const first = await startTurn(turns, 1)
  const waiting = [2, 3, 4, 5].map((scheduledMs) => turns.take('file', attempt(scheduledMs), async () => scheduledMs))
  for (const each of waiting.slice(0, 3)) await expect(each).rejects.toThrow(Superseded)
  first.end()
  expect(await waiting[3]).toBe(5)
})

test('When an attempt arrives after one that was scheduled later, then it is refused, and the later one continues', async () => {
  const turns = new FileTurns()
  const later = await startTurn(turns, 2)
  await expect(turns.take('file', attempt(1), write)).rejects.toThrow(Superseded)
  expect(later.signal.aborted).toBe(false)
  later.end()
  await later.result
  expect(await turns.take('file', attempt(1), write)).toBe('written')
})

test('When an earlier attempt does not end, then the later ones fail, and none writes at the same time', async () => {
  const turns = new FileTurns(50)
  const stuck = await startTurn(turns, 1)
  for (const scheduledMs of [2, 3]) await expect(turns.take('file', attempt(scheduledMs), write)).rejects.toThrow(FileBusy)
  stuck.end()
  await stuck.result
  expect(await turns.take('file', attempt(4), write)).toBe('written')
})

test('When an attempt is cancelled while it waits, then it ends at once', async () => {
  const turns = new FileTurns()
  const first = await startTurn(turns, 1)
  const cancel = new AbortController()
  const second = turns.take('file', attempt(2, cancel.signal), write)
  cancel.abort(new Error('cancelled'))
  await expect(second).rejects.toThrow('cancelled')
  first.end()
  await first.result
})

test('When a turn requests another turn for the same file while it starts, then the other turn waits for it', async () => {
  const turns = new FileTurns()
  const order: string[] = []
  let other: Promise<unknown> | undefined
  await turns.take('file', attempt(1), async () => {
    other = turns.take('file', attempt(2), async () => order.push('other'))
    await Promise.resolve()
    order.push('first')
  })
  await other
  expect(order).toEqual(['first', 'other'])
})

test('When an attempt fails, then the next one runs', async () => {
  const turns = new FileTurns()
  await expect(turns.take('file', attempt(1), () => Promise.reject(new Error('broken')))).rejects.toThrow('broken')
  expect(await turns.take('file', attempt(2), write)).toBe('written')
})
