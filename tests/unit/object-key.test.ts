// Which objects of the bucket are recordings of ours. All others are never adopted or deleted.
import { expect, test } from '@jest/globals'
import { alternativeKey, objectKey, readObjectKey } from '../../recordings/object-key.ts'
import type { UploadInput } from '../../contracts/recording.ts'
import { callSid } from '../support/servers.ts'

const SID = callSid('b5f9a1c2d3e4f5a6b7c8d9e0f1a2b3c4')
const SHA256 = '0123456789abcdef'.repeat(4)
const KEY = `recordings/2026/11/26/${SID}-0123456789ab.mp3`

test('When a key is made, then its parts can be read from it', () => {
  const input = (kind: 'good' | 'damaged'): UploadInput => {
    const verdict = { kind, etag: 'x', audio: { contentType: 'audio/mpeg', extension: 'mp3' }, reason: 'cut' }
    return { callSid: SID, sourceUrl: 'https://x', spooled: { queue: 'q', file: 'f', bytes: 1, sha256: SHA256 }, verdict }
  }
  const parts = { callSid: SID, hashPrefix: '0123456789ab', extension: 'mp3' }
  expect(objectKey(input('good'), '2026-11-26')).toBe(KEY)
  expect(readObjectKey(KEY)).toEqual({ prefix: 'recordings', ...parts })
  expect(readObjectKey(alternativeKey(KEY, SHA256))).toEqual({ prefix: 'recordings', ...parts })
  expect(readObjectKey(objectKey(input('damaged'), '2026-11-26'))).toEqual({ prefix: 'quarantine', ...parts })
})

test.each([
  `backup/${KEY}`,
  `${KEY}.bak.gz`,
  `${KEY}/copy`,
  KEY.replace('recordings', 'reports'),
  KEY.replace('-0123456789ab', ''),
  KEY.replace('-0123456789ab', '-0123456789a'),
  KEY.replace('.mp3', '-0123.mp3'),
  KEY.replace('/26/', '/'),
  'recordings/.probe',
])('When an object has the key %s, then it is not ours', (key) => {
  expect(readObjectKey(key)).toBeUndefined()
})
