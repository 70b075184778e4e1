// Words of a text, and encoded data in it.
import { describe, expect, test } from '@jest/globals'
import { WordCount } from '../../recordings/audio/words.ts'

function count(...pieces: string[]): WordCount {
  const words = new WordCount()
  for (const piece of pieces) words.add(piece)
  return words
}

test.each([
  ['Not found', true],
  ['the', true],
  ['to', false],
  ['(see "below"), please!', true],
  ['<title>Fehler später</title>', true],
  ['नहीं', true],
  ['by my', true],
  ['prst krk', false],
  ['nth pts', false],
  ['UUUU', false],
  ['a1b2 c3d4', false],
  ['aBc dEf', false],
  ['found 123456', false],
  ['found 12345', true],
  ['o'.repeat(30), true],
  ['o'.repeat(31), false],
  ['', false],
])('When a text is %j, then most of it is words: %s', (text, areWords) => {
  expect(count(text).areWords()).toBe(areWords)
  expect(count(...Array.from(text)).areWords()).toBe(areWords)
})

describe('When a text holds more than 1,000 characters of encoded data in a row, then it may hold audio:', () => {
  const line = 'Ab1/'.repeat(19)
  const numbers = '12, '
  test.each<[string, string, string, string]>([
    ['base64', '', 'A', '='],
    ['base64 in lines', '', `${line}\r\n`, 'Ab1='],
    ['base64 in the shortest lines', '', `${line.slice(0, 60)}\n`, ''],
    ['base64 in markup', '<recording>', 'A', '</recording>'],
    ['base64 in JSON', '{"audio":"', 'A', '"}'],
    ['base64 in lines in JSON', '{"audio":"', `${line}\\r\\n`, '"}'],
    ['base64 in a data URL of audio', 'data:audio/png;base64,', 'A', ''],
    ['numbers', '[', numbers, ']'],
    ['negative numbers with fractions', '[', '-0.5,\n  +1.25\n', ']'],
    ['hexadecimal numbers', '', 'ff 0A ', ''],
    ['escapes', '"', String.raw`\u00fb\u00FF `, '"'],
  ])('%s', (_what, before, data, after) => {
    const characters = data.replaceAll(/\s/g, '').length
    expect(count(before, data.repeat(1100 / characters), after).holdData()).toBe(true)
    expect(count(before, data.repeat(800 / characters), after).holdData()).toBe(false)
    const half = data.repeat(800 / characters)
    expect(count(before, half, ' and ', half, after).holdData()).toBe(false)
  })

  test('1,001 characters, but not 1,000', () => {
    expect(count('A'.repeat(1000)).holdData()).toBe(false)
    expect(count('A'.repeat(1001)).holdData()).toBe(true)
    expect(count('A'.repeat(500), 'A'.repeat(501)).holdData()).toBe(true)
    expect(count('A'.repeat(3000), ' and').holdData()).toBe(true)
  })

  test.each([
    ['lines of 59 characters', `${'Ab1/'.repeat(19).slice(0, 59)}\n`],
    ['one escape per word', String.raw`caf\u00e9 `],
    ['words', 'not found '],
    ['JSON', '{"a":[1,2,{"b":"2026-11-28"}],'],
    ['scripts', 'function(a){return(a.b);}'],
    ['odd hexadecimal numbers', 'fff '],
  ])('but not %s', (_what, text) => {
    expect(count(text.repeat(200)).holdData()).toBe(false)
  })

  test.each(['data:image/png;', 'url(data:font/woff;charset=utf-8;', 'data:application/x-font-ttf;', 'data:application/font-woff;'])(
    'but not pictures and fonts, only the data after them: %s',
    (url) => {
      const picture = `${url}base64,${'A'.repeat(2000)}`
      expect(count(`<a b="${picture}">`).holdData()).toBe(false)
      expect(count(`<a b="${picture}">`, 'A'.repeat(1001)).holdData()).toBe(true)
      expect(count(`<a b="${picture}">`, `base64,${'A'.repeat(1001)}`).holdData()).toBe(true)
      expect(count(`${url}x;base64,${'A'.repeat(1001)}`).holdData()).toBe(true)
    },
  )
})
