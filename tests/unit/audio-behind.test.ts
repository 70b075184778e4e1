// What follows the audio of a file, or precedes it behind a long tag, decides whether the file is a recording.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { inspectAudio } from '../../recordings/audio/inspect.ts'
import { id3v1, id3v2, join, zeros } from '../corpus/bytes.ts'
import { mp3 } from '../support/audio.ts'

/** Without a count of frames: only what follows shows that the end is missing. */
const AUDIO = mp3({ frames: 40 })

let folder: string
beforeAll(() => void (folder = mkdtempSync(joinPath(tmpdir(), 'audio-'))))
afterAll(() => rmSync(folder, { recursive: true }))

function inspect(bytes: Buffer) {
  const path = joinPath(folder, 'file')
  writeFileSync(path, bytes)
  return inspectAudio(path)
}

describe('When text of a server follows the last frame, then the recording is incomplete:', () => {
  test.each(['रिकॉर्डिंग उपलब्ध नहीं है', 'Terminated', 'gateway down', '\n\nKilled by deadline\n'])('%s', async (text) => {
    expect((await inspect(join(AUDIO, Buffer.from(text)))).kind).toBe('incomplete')
  })
})

describe('When anything else follows the last frame, then the recording is complete:', () => {
  test.each([
    ['nothing', zeros(0)],
    ['zeros', zeros(500)],
    ['an ID3v1 tag', id3v1()],
    ['padding of an encoder', Buffer.alloc(60, 0x55)],
    ['the name of an encoder', Buffer.from('LAME3.100')],
    ['a few letters', Buffer.from('abc')],
    ['bytes that are not text', Buffer.from([...Array(64).keys()].map((n) => (n * 37) % 255))],
  ])('%s', async (_what, bytes) => {
    expect((await inspect(join(AUDIO, bytes))).kind).toBe('good')
  })
})

describe('When a container that may hold MP3 frames follows a long tag or other bytes, then it is quarantined:', () => {
  const avi = join('RIFF', zeros(4), 'AVI LIST', zeros(40), AUDIO)
  const quicktime = join(zeros(4), 'mdat', AUDIO)
  test.each([
    ['AVI behind an ID3 tag', join(id3v2(zeros(10_000)), avi)],
    ['QuickTime behind an ID3 tag', join(id3v2(zeros(10_000)), quicktime)],
    ['AVI behind zeros', join(zeros(10_000), avi)],
    ['QuickTime behind zeros', join(zeros(10_000), quicktime)],
  ])('%s', async (_what, bytes) => {
    expect((await inspect(bytes)).kind).toBe('damaged')
  })
})
