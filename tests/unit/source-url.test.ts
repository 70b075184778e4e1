import { describe, expect, test } from '@jest/globals'
import { readSourceUrl } from '../../exotel/source-url.ts'
import { checkUrl, UrlRefused } from '../../exotel/url-policy.ts'

const policy = { hosts: ['*.exotel.com'], publicHosts: [], allowLocal: false }

describe('When a link is read', () => {
  test.each([undefined, '', '  ', 'null', 'NULL', 'undefined', 'none', 'Nil', 'NA', 'n/a'])(
    'then "%s" means that there is no recording',
    (text) => {
      expect(readSourceUrl(text)).toBeUndefined()
    },
  )

  test.each([
    ['https://recordings.exotel.com/a/1.mp3', 'https://recordings.exotel.com/a/1.mp3'],
    ['https://RECORDINGS.EXOTEL.COM./a/1.mp3', 'https://recordings.exotel.com/a/1.mp3'],
    ['https://recordings.exotel.com/a/1.mp3#t=3', 'https://recordings.exotel.com/a/1.mp3'],
    ['http://recordings.exotel.com/a/1.mp3', 'http://recordings.exotel.com/a/1.mp3'],
    ['https://user:pw@127.0.0.1/x', 'https://refused@127.0.0.1/x'],
    ['https://user@127.0.0.1/x', 'https://refused@127.0.0.1/x'],
    ['https://:pw@127.0.0.1/x?Signature=s', 'https://refused@127.0.0.1/x'],
    [`https://x.test/${'a'.repeat(2048 - 15)}`, `https://x.test/${'a'.repeat(2048 - 15)}`],
  ])('then %s is named %s', (text, sourceUrl) => {
    expect(readSourceUrl(text)).toEqual({ sourceUrl })
  })

  test('then the name has no query, and the link for fetching has it', () => {
    expect(readSourceUrl('https://s.exotel.com/1.mp3?Signature=abc')).toEqual({
      sourceUrl: 'https://s.exotel.com/1.mp3',
      fetchUrl: 'https://s.exotel.com/1.mp3?Signature=abc',
    })
  })

  test.each([
    'not a URL',
    'https://recordings.exotel.com\\@127.0.0.1/',
    `https://recordings.exotel.com/${'a'.repeat(4000)}`,
    'https://x.test/a b',
    'data:audio/mp3;base64,AAAA',
    'file:///etc/passwd',
    'ftp://x.test/a',
  ])('then %s gets a name that is rejected later', (text) => {
    const { sourceUrl } = readSourceUrl(text)!
    expect(sourceUrl).toMatch(/^[a-z]+:[0-9a-f]{12}$/)
    expect(() => checkUrl(sourceUrl, policy, 'named')).toThrow(UrlRefused)
  })
})

test('When a link is too long only after encoding, or its host ends with a dot, then its name is in the checked form', () => {
  expect(readSourceUrl(`https://x.test/${'漢'.repeat(1500)}`)!.sourceUrl).toMatch(/^invalid:/)
  expect(readSourceUrl('https://evil.example./x.mp3?y=1')).toEqual({
    sourceUrl: 'https://evil.example/x.mp3',
    fetchUrl: 'https://evil.example/x.mp3?y=1',
  })
})
