// A file of zeros with the maximum size of a recording. It has to be read once, in constant memory.
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { ForwardFile } from '../../recordings/audio/forward-file.ts'
import { inspectOpened } from '../../recordings/audio/inspect.ts'

const GB = 1024 ** 3
const MAX_GROWTH_BYTES = 200 * 1024 ** 2

let path: string
beforeAll(() => {
  path = join(mkdtempSync(join(tmpdir(), 'zeros-')), 'file')
})
afterAll(() => rmSync(join(path, '..'), { recursive: true }))

test('When a file has 6 GB of zeros, then it is found damaged after one pass in constant memory', async () => {
  writeFileSync(path, '')
  truncateSync(path, 6 * GB)
  const before = process.memoryUsage.rss()
  const file = await ForwardFile.open(path)
  const finding = await inspectOpened(file).finally(() => file.close())
  expect(finding).toMatchObject({ kind: 'damaged', reason: 'No audio was found in the file' })
  expect(file.bytesRead).toBeLessThanOrEqual(6 * GB)
  expect(process.memoryUsage.rss() - before).toBeLessThan(MAX_GROWTH_BYTES)
})
