import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import { ForwardFile, VIEW_BYTES } from '../../recordings/audio/forward-file.ts'
import { inspectAudio } from '../../recordings/audio/inspect.ts'

const KB = 1024
const WINDOW_BYTES = KB ** 2
/** Two and a half windows. Each four bytes contain their own offset. */
const bytes = Buffer.alloc(2.5 * WINDOW_BYTES)
for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32BE(at, at)

let folder: string
let path: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'forward-'))
  path = join(folder, 'file')
  writeFileSync(path, bytes)
})
afterAll(() => rmSync(folder, { recursive: true }))

describe('When a file is read forwards', () => {
  test('then overlapping views have the bytes at their offsets, and each byte is read once', async () => {
    const file = await ForwardFile.open(path)
    for (let at = 0; at < bytes.length; at += 200 * KB) {
      const expected = bytes.subarray(at, at + VIEW_BYTES)
      expect((await file.view(at)).equals(expected)).toBe(true)
    }
    expect(file.bytesRead).toBe(bytes.length)
    expect(file.size).toBe(bytes.length)
    await file.close()
  })

  test('then skipped bytes are not read', async () => {
    const file = await ForwardFile.open(path)
    expect((await file.view(0, 10)).equals(bytes.subarray(0, 10))).toBe(true)
    expect(file.bytesRead).toBe(WINDOW_BYTES)
    expect((await file.view(2 * WINDOW_BYTES, 10)).equals(bytes.subarray(2 * WINDOW_BYTES, 2 * WINDOW_BYTES + 10))).toBe(true)
    expect(file.bytesRead).toBe(1.5 * WINDOW_BYTES)
    await file.close()
  })

  test.each([
    ['of the last bytes of the window needs no other read', WINDOW_BYTES - 8, 8, WINDOW_BYTES],
    ['that ends one byte after the window needs another read', WINDOW_BYTES - 8, 9, 2 * WINDOW_BYTES - 8],
    ['that starts at the end of the window needs another read', WINDOW_BYTES, 8, 2 * WINDOW_BYTES],
  ])('then a view %s', async (_what, offset, length, bytesRead) => {
    const file = await ForwardFile.open(path)
    await file.view(0, 1)
    expect((await file.view(offset, length)).equals(bytes.subarray(offset, offset + length))).toBe(true)
    expect(file.bytesRead).toBe(bytesRead)
    await file.close()
  })

  test('then a view is shorter at the end of the file, and empty after the end', async () => {
    const file = await ForwardFile.open(path)
    expect((await file.view(bytes.length - 3, 10)).equals(bytes.subarray(-3))).toBe(true)
    expect(await file.view(bytes.length, 10)).toHaveLength(0)
    expect(await file.view(bytes.length + 10, 10)).toHaveLength(0)
    expect(await file.view(0, 0)).toHaveLength(0)
    await file.close()
  })

  test('then a view after the end of the file is empty, and the window does not move', async () => {
    const file = await ForwardFile.open(path)
    expect(await file.view(bytes.length + 10, 10)).toHaveLength(0)
    await file.view(0, 10)
    expect(await file.view(bytes.length, 10)).toHaveLength(0)
    expect((await file.view(0, 10)).equals(bytes.subarray(0, 10))).toBe(true)
    expect(file.bytesRead).toBe(WINDOW_BYTES)
    await file.close()
  })
})

test('When bytes before the window are requested, then they are read again', async () => {
  const file = await ForwardFile.open(path)
  await file.view(2 * WINDOW_BYTES, 10)
  expect((await file.view(WINDOW_BYTES - 4, 12)).equals(bytes.subarray(WINDOW_BYTES - 4, WINDOW_BYTES + 8))).toBe(true)
  expect(file.bytesRead).toBe(1.5 * WINDOW_BYTES)
  await file.close()
})

test('When a file was truncated after it was opened, then its views are shorter', async () => {
  const other = join(folder, 'shorter')
  writeFileSync(other, bytes.subarray(0, 100))
  const file = await ForwardFile.open(other)
  writeFileSync(other, bytes.subarray(0, 20))
  expect((await file.view(0, 100)).equals(bytes.subarray(0, 20))).toBe(true)
  await file.close()
})

test('When a file was closed, then a view fails', async () => {
  const file = await ForwardFile.open(path)
  await file.close()
  await expect(file.view(0)).rejects.toThrow(/EBADF|closed/)
})

test('When the disk cannot read a file, then its inspection fails, and the file does not count as damaged', async () => {
  const handle = await open(path)
  const prototype = Object.getPrototypeOf(handle) as { read: () => Promise<never> }
  await handle.close()
  const read = jest
    .spyOn(prototype, 'read')
    .mockRejectedValue(Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO', syscall: 'read' }))
  try {
    await expect(inspectAudio(path)).rejects.toMatchObject({ code: 'EIO' })
    expect(read).toHaveBeenCalled()
  } finally {
    read.mockRestore()
  }
})
