import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { decodeBody, decodeForm, UnreadableDelivery } from '../../exotel/decode-fields.ts'

function multipart(parts: string[], { end = '--B--\r\n', newline = '\r\n' } = {}) {
  const text = parts.map((part) => `--B\r\n${part}\r\n`).join('') + end
  return Buffer.from(text.replaceAll('\r\n', newline))
}
const field = (name: string, value: string) => `Content-Disposition: form-data; name="${name}"\r\n\r\n${value}`
const MULTIPART = 'multipart/form-data; boundary=B'

test('When the same fields are sent as JSON, form and multipart, then the result is the same', async () => {
  const expected = { CallSid: 'a1', ConversationDuration: '12', Legs: [{ Status: 'completed' }], Stream: { Status: 'x' } }
  const json = Buffer.from(
    JSON.stringify({ CallSid: 'a1', ConversationDuration: 12, Legs: [{ Status: 'completed' }], Stream: { Status: 'x' } }),
  )
  const form = Buffer.from('CallSid=a1&ConversationDuration=12&Legs[0][Status]=completed&Stream[Status]=x')
  const parts = multipart([
    field('CallSid', 'a1'),
    field('ConversationDuration', '12'),
    field('Legs[0][Status]', 'completed'),
    field('Stream[Status]', 'x'),
  ])
  expect(await decodeBody(json, 'application/json; charset=utf-8')).toEqual(expected)
  expect(await decodeBody(form, 'application/x-www-form-urlencoded')).toEqual(expected)
  expect(await decodeBody(parts, MULTIPART)).toEqual(expected)
})

test('When the content type is missing or unknown, then the first characters determine the encoding', async () => {
  expect(await decodeBody(Buffer.from(' {"CallSid":"a1"}'), undefined)).toEqual({ CallSid: 'a1' })
  expect(await decodeBody(Buffer.from('CallSid=a1'), 'text/plain')).toEqual({ CallSid: 'a1' })
})

describe('When a multipart body is broken or unusual, then its readable parts are used:', () => {
  test.each([
    ['no closing boundary', multipart([field('CallSid', 'a1')], { end: '' })],
    ['the next part truncated in its header', multipart([field('CallSid', 'a1')], { end: '--B\r\nContent-Dispo' })],
    [
      'an additional file',
      multipart([field('CallSid', 'a1'), `Content-Disposition: form-data; name="f"; filename="x.bin"\r\n\r\n${'x'.repeat(20_000)}`]),
    ],
    ['2,000 parts', multipart([field('CallSid', 'a1'), ...Array.from({ length: 2000 }, (_, i) => field(`f${i}`, 'x'))])],
  ])('%s', async (_how, body) => {
    expect(await decodeBody(body, MULTIPART)).toMatchObject({ CallSid: 'a1' })
  })

  test('a body for which the parser never finishes is rejected', async () => {
    const body = Buffer.from('------x1--\r\n------x1\r\n------x1\r\nContent-Disposition:form-data;="";filename="a"\r\n\r\nz')
    await expect(decodeBody(body, 'multipart/form-data; boundary=----x1')).rejects.toThrow(UnreadableDelivery)
  })

  test('a text part with an empty file name is text', async () => {
    const body = multipart([
      field('CallSid', 'a1'),
      'Content-Disposition: form-data; name="RecordingUrl"; filename=""\r\n\r\nhttps://x.test/a',
    ])
    expect(await decodeBody(body, MULTIPART)).toEqual({ CallSid: 'a1', RecordingUrl: 'https://x.test/a' })
  })
})

describe('When a body cannot be read, then the error says why:', () => {
  test.each([
    ['empty', Buffer.alloc(0), 'application/json', /empty/],
    ['broken JSON', Buffer.from('{"CallSid":'), 'application/json', /not valid JSON/],
    ['a JSON array', Buffer.from('[1]'), 'application/json', /not an object/],
    ['no boundary', multipart([field('CallSid', 'a1')]), 'multipart/form-data', /oundary/],
    ['line feeds instead of CRLF', multipart([field('CallSid', 'a1')], { newline: '\n' }), MULTIPART, /no readable text part/],
    ['100,000 levels', Buffer.from('{"a":'.repeat(100_000) + '1' + '}'.repeat(100_000)), 'application/json', /nested deeper/],
    ['101 levels', Buffer.from(`${'{"a":'.repeat(101)}1${'}'.repeat(101)}`), 'application/json', /nested deeper/],
    [
      'too many fields',
      Buffer.from(JSON.stringify(Object.fromEntries(Array.from({ length: 10_001 }, (_, i) => [i, 1])))),
      'application/json',
      /more than 10000/,
    ],
    ['too many parameters', Buffer.from('a=1&'.repeat(10_001)), 'application/x-www-form-urlencoded', /more than 10000/],
    ['too many parts', multipart(Array.from({ length: 10_001 }, () => field('f', 'x'))), MULTIPART, /more than 10000/],
  ])('%s', async (_how, body, type, message) => {
    await expect(decodeBody(body, type)).rejects.toThrow(UnreadableDelivery)
    await expect(decodeBody(body, type)).rejects.toThrow(message)
  })
})

test('When a form has the maximum number of fields, then all are read; with one more it is rejected', () => {
  const form = (count: number) => Array.from({ length: count }, (_, index) => `f${index}=x`).join('&')
  expect(Object.keys(decodeForm(form(10_000)))).toHaveLength(10_000)
  expect(() => decodeForm(form(10_001))).toThrow(/more than 10000/)
})

describe('When a body does not match its content type, then it is rejected:', () => {
  const multipartBody = multipart([field('CallSid', 'a1'), field('CustomField', 'x&CallSid=b2')])
  test.each([
    ['JSON as a form', Buffer.from('{"CallSid":"a1","x":"&CallSid=b2&"}'), 'application/x-www-form-urlencoded'],
    [
      'JSON after a byte order mark and blanks as a form',
      Buffer.from(`\uFEFF${' '.repeat(200)}\n{"x":"&CallSid=b2&"}`),
      'application/x-www-form-urlencoded',
    ],
    ['a JSON array as a form', Buffer.from('["&CallSid=b2&"]'), 'application/x-www-form-urlencoded'],
    ['multipart as a form', multipartBody, 'application/x-www-form-urlencoded'],
    ['multipart without a type', multipartBody, undefined],
    ['multipart as text', multipartBody, 'text/plain'],
    ['multipart as JSON', multipartBody, 'application/json'],
    ['a form as JSON', Buffer.from('CallSid=a1'), 'application/json'],
    ['a form as multipart', Buffer.from('CallSid=a1'), MULTIPART],
    ['JSON with parts inside as multipart', Buffer.from(`{"CallSid":"a1",\r\n--B\r\n${field('CallSid', 'b2')}\r\n--B--\r\n}`), MULTIPART],
  ])('%s', async (_how, body, type) => {
    await expect(decodeBody(body, type)).rejects.toThrow(UnreadableDelivery)
  })
})

test('When a field is nested deeper than all known fields, then it is kept as JSON text', async () => {
  const body = Buffer.from('{"CallSid":"a1","a":{"b":{"c":{"d":{"e":{"f":{"g":{"h":1}}}}}}}}')
  expect(await decodeBody(body, 'application/json')).toEqual({ CallSid: 'a1', a: { b: { c: { d: { e: { f: { g: '{"h":1}' } } } } } } })
})

test('When brackets are in texts, on one level, or nested up to a hundred levels, then the body is read', async () => {
  const texts = JSON.stringify({ CallSid: 'a1', x: `"\\${'{['.repeat(200)}\\`, y: Array.from({ length: 200 }, () => ({})) })
  expect(await decodeBody(Buffer.from(texts), 'application/json')).toMatchObject({ CallSid: 'a1' })
  const deep = `{"CallSid":"a1","a":${'['.repeat(99)}${']'.repeat(99)}}`
  expect(await decodeBody(Buffer.from(deep), 'application/json')).toMatchObject({ CallSid: 'a1' })
})

test('When JSON starts with a byte order mark, then it is read', async () => {
  expect(await decodeBody(Buffer.from('\uFEFF{"CallSid":"a1"}'), 'application/json')).toEqual({ CallSid: 'a1' })
})

test('When fields contain NUL, lone surrogates or prototype names, then these are replaced or removed', async () => {
  const body = Buffer.from('{"a\\u0000":"b\\u0000\\ud800","__proto__":{"x":1},"constructor":"y","n":null}')
  expect(await decodeBody(body, 'application/json')).toEqual({ 'a\uFFFD': 'b\uFFFD\uFFFD', n: '' })
  expect(decodeForm('__proto__[x]=1&a=%00')).toEqual({ a: '\uFFFD' })
})

test('When any bytes are sent with any content type, then they are decoded or rejected as unreadable', async () => {
  const types = fc.constantFrom(
    'application/json',
    'application/x-www-form-urlencoded',
    MULTIPART,
    'multipart/form-data',
    'text/plain',
    undefined,
  )
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), types, async (bytes, type) => {
      const outcome = await decodeBody(Buffer.from(bytes), type).catch((error: unknown) => error)
      expect(outcome instanceof Error ? outcome : new UnreadableDelivery()).toBeInstanceOf(UnreadableDelivery)
      expect(JSON.stringify(outcome)).not.toContain('\\u0000')
    }),
  )
})
