import { execFileSync } from 'node:child_process'
import { expect, test } from '@jest/globals'
import { formatExotelTime, parseExotelTime } from '../../exotel/time.ts'
import { retryAfterMs } from '../../exotel/retry-after.ts'

test.each(['UTC', 'Asia/Kolkata', 'America/New_York'])(
  'When the time zone of the process is %s, then Exotel times are in India Standard Time',
  (TZ) => {
    const script = `import('./exotel/time.ts').then(({ parseExotelTime, formatExotelTime }) => {
    const instant = parseExotelTime('2026-12-01 00:10:00')
    console.log(instant.toISOString(), formatExotelTime(instant))
  })`
    const printed = execFileSync(process.execPath, ['--import', 'tsx', '-e', script], { env: { ...process.env, TZ }, encoding: 'utf8' })
    expect(printed.trim()).toBe('2026-11-30T18:40:00.000Z 2026-12-01 00:10:00')
  },
)

test.each([
  ['2026-11-24T00:10:00+05:30', '2026-11-23T18:40:00.000Z'],
  ['2026-11-24T00:10:00Z', '2026-11-24T00:10:00.000Z'],
  ['2026-11-24T00:10:00.125Z', '2026-11-24T00:10:00.125Z'],
  ['2024-02-29 12:00:00', '2024-02-29T06:30:00.000Z'],
  ['2024-02-29T12:00:00', '2024-02-29T06:30:00.000Z'],
  ['2000-01-01T00:00:00Z', '2000-01-01T00:00:00.000Z'],
])('When the text is %s, then the time is %s', (text, instant) => {
  expect(parseExotelTime(text)?.toISOString()).toBe(instant)
})

test.each([
  '',
  '0000-00-00 00:00:00',
  '2026-13-40',
  '2026-13-40 00:00:00',
  '2026-02-30 00:00:00',
  '1970-01-01 05:30:00',
  '1999-12-31T23:59:59Z',
  'yesterday',
  '2026-11-24',
  'at 2026-11-24T00:10:00Z',
  '2026-11-24T00:10:00Z (Z)',
  '2026-11-24T00:10:00 IST',
  'at 2026-11-24 00:10:00',
  '2026-11-24 00:10:00 IST',
])('When the text is "%s", then it is not a time', (text) => {
  expect(parseExotelTime(text)).toBeUndefined()
})

test('When an instant is formatted around midnight, then the result is in India Standard Time', () => {
  expect(formatExotelTime(new Date('2026-11-30T18:29:59Z'))).toBe('2026-11-30 23:59:59')
  expect(formatExotelTime(new Date('2026-11-30T18:30:00Z'))).toBe('2026-12-01 00:00:00')
})

test.each<[string | string[] | undefined, number | undefined]>([
  ['7', 7000],
  ['Wed, 25 Nov 2026 10:00:10 GMT', 10_000],
  ['Wed, 25 Nov 2026 09:00:00 GMT', undefined],
  ['Wed, 40 Nov 2026 10:00:10 GMT', undefined],
  ['on Wed, 25 Nov 2026 10:00:10 GMT', undefined],
  ['Wed, 25 Nov 2026 10:00:10 GMT (or so)', undefined],
  ['2026-11-25T10:00:10Z', undefined],
  ['soon', undefined],
  ['', undefined],
  [' 7 ', 7000],
  [['7', '8'], 7000],
  [[], undefined],
  ['0', undefined],
  ['-3', undefined],
  ['1.5', undefined],
  ['9999999999', 15 * 60_000],
  [undefined, undefined],
])('When Retry-After is %s, then the delay is %s ms', (header, ms) => {
  expect(retryAfterMs(header, new Date('2026-11-25T10:00:00Z'))).toBe(ms)
})
