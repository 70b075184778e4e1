// Each encoding of a delivery in detail: its content types, the fields that are read, and the error messages.
import { describe, expect, test } from '@jest/globals'
import { decodeBody, decodeForm, UnreadableDelivery } from '../../exotel/decode-fields.ts'

const JSON_TYPE = 'application/json'
const FORM = 'application/x-www-form-urlencoded'
const MULTIPART = 'multipart/form-data; boundary=B'
const LIMIT_BYTES = 64 * 1024

const part = (name: string, value: string, headers = '') =>
  `--B\r\nContent-Disposition: form-data; name="${name}"${headers}\r\n\r\n${value}`
/** The content type of text that a program sends as a file. */
const OCTETS = '\r\nContent-Type: application/octet-stream'

describe('When a content type has another notation, then it is recognized:', () => {
  test.each([
    ['application/vnd.exotel+json; charset=utf-8', '{"CallSid":"a1"}'],
    ['Application/JSON ; charset=utf-8', '{"CallSid":"a1"}'],
    [`${FORM} ; charset=utf-8`, 'CallSid=a1'],
    ['multipart/form-data; boundary="B"; charset=utf-8', `${part('CallSid', 'a1')}\r\n--B--\r\n`],
    ['multipart/form-data; Boundary=B;charset=utf-8', `${part('CallSid', 'a1')}\r\n--B--\r\n`],
    ['multipart/form-data; boundary="a B"', `${part('CallSid', 'a1')}\r\n--B--\r\n`.replaceAll('--B', '--a B')],
    ['multipart/form-data; boundary=Bound-42', `${part('CallSid', 'a1')}\r\n--B--\r\n`.replaceAll('--B', '--Bound-42')],
  ])('%s', async (type, body) => {
    expect(await decodeBody(Buffer.from(body), type)).toEqual({ CallSid: 'a1' })
  })

  test.each(['-CallSid=a1', 'a-CallSid=a1'])('none, and a hyphen that does not start a boundary: %s', async (body) => {
    const [name] = body.split('=') as [string]
    expect(await decodeBody(Buffer.from(body), undefined)).toEqual({ [name]: 'a1' })
  })
})

describe('When a body does not match its content type, then the error describes the mismatch:', () => {
  test.each([
    [FORM, `${part('CallSid', 'a1')}\r\n--B--\r\n`, /is form, but the body looks like multipart$/],
    [FORM, '{}', /is form, but the body looks like json$/],
    [`${FORM} ; charset=utf-8`, '{}', /is form, but the body looks like json$/],
    ['application/vnd.exotel+json', 'CallSid=a1', /JSON/],
    [MULTIPART, 'CallSid=a1', /is multipart, but the body looks like form$/],
    [MULTIPART, '--C\r\n', /is multipart, but the body does not start with its boundary$/],
    ['multipart/form-data; boundary=B1', '--B2\r\n', /is multipart, but the body does not start with its boundary$/],
    ['multipart/form-data', `${part('CallSid', 'a1')}\r\n--B--\r\n`, /does not start with its boundary$/],
    [undefined, `${part('CallSid', 'a1')}\r\n--B--\r\n`, /is multipart, but its content type is not$/],
  ])('%s', async (type, body, message) => {
    await expect(decodeBody(Buffer.from(body), type)).rejects.toThrow(message)
  })
})

describe('When JSON', () => {
  test.each(['null', '1', '"text"', 'true', '[]'])('is %s, then it is rejected', async (text) => {
    await expect(decodeBody(Buffer.from(text), JSON_TYPE)).rejects.toThrow(UnreadableDelivery)
    await expect(decodeBody(Buffer.from(text), JSON_TYPE)).rejects.toThrow(/not an object/)
  })

  test('has 101 nested arrays, then it is rejected; many arrays on one level are read', async () => {
    await expect(decodeBody(Buffer.from(`{"a":${'['.repeat(100)}${']'.repeat(100)}}`), JSON_TYPE)).rejects.toThrow(/nested deeper/)
    const siblings = { a: Array.from({ length: 200 }, () => []) }
    expect(await decodeBody(Buffer.from(JSON.stringify(siblings)), JSON_TYPE)).toEqual(siblings)
  })

  test('has scalars below the deepest level, then they become text like all others', async () => {
    const nest = (value: unknown) => ({ a: { b: { c: { d: { e: { f: value } } } } } })
    const body = nest({ text: 'x', number: 1, truth: true, nothing: null, object: { x: 1 } })
    expect(await decodeBody(Buffer.from(JSON.stringify(body)), JSON_TYPE)).toEqual(
      nest({ text: 'x', number: '1', truth: 'true', nothing: '', object: '{"x":1}' }),
    )
  })

  test('has arrays below the deepest level, then they become JSON text', async () => {
    const body = { a: [[[[[[['x']]]]]]] }
    expect(await decodeBody(Buffer.from(JSON.stringify(body)), JSON_TYPE)).toEqual({ a: [[[[[['["x"]']]]]]] })
  })

  test('has the maximum number of fields, then all are read', async () => {
    const body = Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`f${index}`, 1]))
    expect(Object.keys(await decodeBody(Buffer.from(JSON.stringify(body)), JSON_TYPE))).toHaveLength(10_000)
  })
})

describe('When a form', () => {
  test('is nested six levels deep, or has a long list, then all of it is read', () => {
    expect(decodeForm('a[b][c][d][e][f][g]=1')).toEqual({ a: { b: { c: { d: { e: { f: { g: '1' } } } } } } })
    const list = Array.from({ length: 50 }, (_, index) => `a[${index}]=${index}`).join('&')
    expect(decodeForm(list)).toEqual({ a: Array.from({ length: 50 }, (_, index) => String(index)) })
  })

  test('has the maximum number of fields, then all are read; with one more it is rejected', () => {
    const form = (count: number) => Array.from({ length: count }, (_, index) => `f${index}=x`).join('&')
    expect(Object.keys(decodeForm(form(10_000)))).toHaveLength(10_000)
    expect(() => decodeForm(form(10_001))).toThrow(/more than 10000/)
  })

  test.each(['hasOwnProperty', 'prototype', 'constructor'])('has a field with the name %s, then the field is ignored', (name) => {
    expect(decodeForm(`${name}=1&a=2`)).toEqual({ a: '2' })
  })
})

describe('When multipart', () => {
  const decode = (text: string) => decodeBody(Buffer.from(text), MULTIPART)

  test.each(['', '\r\n'])('ends without its closing boundary, then its last value is complete: %j', async (end) => {
    expect(await decode(part('CallSid', 'a1') + end)).toEqual({ CallSid: 'a1' })
  })

  test('has text that is sent as a file without a name, then it is text', async () => {
    expect(await decode(`${part('CallSid', 'ä1', OCTETS)}\r\n--B--\r\n`)).toEqual({ CallSid: 'ä1' })
  })

  test('has a file with a name, then the file is ignored', async () => {
    const file = part('Recording', 'x'.repeat(2 * LIMIT_BYTES), `; filename="a.mp3"${OCTETS}`)
    expect(await decode(`${file}\r\n${part('CallSid', 'a1')}\r\n--B--\r\n`)).toEqual({ CallSid: 'a1' })
    await expect(decode(`${file}\r\n--B--\r\n`)).rejects.toThrow(/no readable text part$/)
  })

  test('has names in UTF-8, then they are read', async () => {
    expect(await decode(`${part('Größe', 'ä')}\r\n--B--\r\n`)).toEqual({ Größe: 'ä' })
  })

  test.each(['', OCTETS])('has text that is too long, then at most 64 KiB of it are read%s', async (headers) => {
    const fits = await decode(`${part('a', 'x'.repeat(LIMIT_BYTES), headers)}\r\n--B--\r\n`)
    expect(fits).toEqual({ a: 'x'.repeat(LIMIT_BYTES) })
    const { a } = await decode(`${part('a', 'x'.repeat(3 * LIMIT_BYTES), headers)}\r\n--B--\r\n`)
    expect((a as string).length).toBeLessThanOrEqual(LIMIT_BYTES)
  })

  test('has no readable text part, then the error says why', async () => {
    await expect(decode('--B\r\nno header at all\r\n\r\nx\r\n--B--\r\n')).rejects.toThrow(/no readable text part: Malformed part header$/)
    const waiting = Buffer.from('------x1--\r\n------x1\r\n------x1\r\nContent-Disposition:form-data;="";filename="a"\r\n\r\nz')
    await expect(decodeBody(waiting, 'multipart/form-data; boundary=----x1')).rejects.toThrow(/: the body does not end$/)
  })
})
