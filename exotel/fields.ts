// A delivery's body or query as nested text fields, whatever its encoding. Reads only bytes whose origin is proven.
import busboy from 'busboy'
import qs from 'qs'

/** Text, or more of the same kind: what JSON, forms, multipart and queries have in common once scalars are text. */
export type FieldValue = string | FieldValue[] | Fields
export interface Fields {
  [name: string]: FieldValue
}

/** The delivery is proven to be Exotel's, but nobody can read it; the message names the trouble. */
export class UnreadableDelivery extends Error {}

/** Far more than Exotel sends, and nothing that fits into 1 MB of ours is dropped silently. */
const MAX_FIELDS = 10_000
const MULTIPART_DEADLINE_MS = 1000
const MAX_DEPTH = 6
/** Deeper than MAX_DEPTH it is kept as text; nobody nests so deep honestly. */
const MAX_JSON_NESTING = 100
const CRLF = Buffer.from('\r\n')
const MAX_TEXT_PART_BYTES = 64 * 1024

/**
 * @param contentType the header as it came; without a known one the body's first characters decide
 * @throws {UnreadableDelivery}
 */
export async function decodeBody(body: Buffer, contentType: string | undefined): Promise<Fields> {
  if (body.length === 0) throw new UnreadableDelivery('The body is empty')
  switch (encodingOf(body, contentType)) {
    case 'json':
      return decodeJson(body)
    case 'multipart':
      return decodeMultipart(body, contentType ?? '')
    case 'form':
      return decodeForm(body.toString('utf8'))
  }
}

/** A query string, with `Stream[Status]` and the like nested. */
export function decodeForm(text: string): Fields {
  if (text.split('&', MAX_FIELDS + 1).length > MAX_FIELDS) throw tooManyFields() // qs would drop the rest without a word
  return tidy(qs.parse(text, { depth: MAX_DEPTH, parameterLimit: MAX_FIELDS, arrayLimit: MAX_FIELDS, allowPrototypes: false }))
}

type Encoding = 'json' | 'multipart' | 'form'

/**
 * A signature covers neither route nor content type, so a body must read the same whatever type somebody sends it with: one whose
 * first characters show another encoding than its content type is refused.
 */
function encodingOf(body: Buffer, contentType: string | undefined): Encoding {
  const declared = declaredEncoding(contentType)
  const shown = shownEncoding(body)
  if (declared === 'form' && shown !== 'form') throw contradiction(declared, shown)
  if (declared === 'multipart' && !startsWithBoundary(body, contentType ?? '')) throw contradiction(declared, shown)
  if (declared === undefined && shown === 'multipart') throw new UnreadableDelivery('The body is multipart, but its content type is not')
  return declared ?? shown
}

function declaredEncoding(contentType: string | undefined): Encoding | undefined {
  const type = contentType?.split(';')[0]?.trim().toLowerCase() ?? ''
  if (type === 'application/json' || type.endsWith('+json')) return 'json'
  if (type === 'multipart/form-data') return 'multipart'
  return type === 'application/x-www-form-urlencoded' ? 'form' : undefined
}

const BYTE_ORDER_MARK = Buffer.from('\uFEFF')

/** What the first characters look like. */
function shownEncoding(body: Buffer): Encoding {
  const start = body.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK) ? BYTE_ORDER_MARK.length : 0
  const first = body.findIndex((byte, index) => index >= start && !BLANKS.has(byte))
  if (body[first] === OPENING_BRACE || body[first] === OPENING_BRACKET) return 'json'
  return body[first] === HYPHEN && body[first + 1] === HYPHEN ? 'multipart' : 'form'
}

const BLANKS = new Set(Buffer.from(' \t\r\n'))
const [OPENING_BRACE, OPENING_BRACKET, CLOSING_BRACE, CLOSING_BRACKET, HYPHEN, QUOTE, BACKSLASH] = Buffer.from('{[}]-"\\')

function startsWithBoundary(body: Buffer, contentType: string): boolean {
  const start = body.subarray(0, CRLF.length).equals(CRLF) ? CRLF.length : 0
  const delimiter = Buffer.from(`--${boundaryIn(contentType)}`)
  return delimiter.length > 2 && body.subarray(start, start + delimiter.length).equals(delimiter)
}

function contradiction(declared: Encoding, shown: Encoding): UnreadableDelivery {
  const looksLike = declared === shown ? 'does not start with its boundary' : `looks like ${shown}`
  return new UnreadableDelivery(`The content type says ${declared}, but the body ${looksLike}`)
}

function decodeJson(body: Buffer): Fields {
  let value: unknown
  if (isNestedTooDeep(body)) throw tooDeep()
  try {
    value = JSON.parse(new TextDecoder().decode(body)) // without a byte order mark, which is legal and means nothing
  } catch {
    throw new UnreadableDelivery('The body is not valid JSON')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new UnreadableDelivery('The JSON body is not an object')
  return tidy(value)
}

/** Readable text parts win over whatever is wrong behind them; file parts are passed over. */
async function decodeMultipart(body: Buffer, contentType: string): Promise<Fields> {
  const pairs: string[] = []
  let deadline: NodeJS.Timeout | undefined
  const trouble = await new Promise<string | undefined>((resolve) => {
    // Some broken bodies leave the parser waiting for ever.
    deadline = setTimeout(() => resolve('It does not end'), MULTIPART_DEADLINE_MS)
    try {
      const parser = busboy({
        headers: { 'content-type': contentType },
        limits: { fieldSize: MAX_TEXT_PART_BYTES },
        defParamCharset: 'utf8',
      })
      const add = (name: string, value: string): void => void pairs.push(`${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
      parser.on('field', add)
      parser.on('file', (name, stream, { filename }) => {
        // A text field sent with an empty file name is still a text field.
        if (filename) stream.on('error', () => {}).resume()
        else collectText(stream, (text) => add(name, text))
      })
      parser.on('error', (error) => resolve(error instanceof Error ? error.message : 'unreadable'))
      parser.on('close', () => resolve(undefined))
      parser.write(body)
      // Some senders forget the closing boundary; behind a first one it is passed over.
      parser.end(`${body.subarray(-2).equals(CRLF) ? '' : '\r\n'}--${boundaryIn(contentType)}--\r\n`)
    } catch (error) {
      resolve(error instanceof Error ? error.message : 'unreadable')
    }
  })
  clearTimeout(deadline)
  if (pairs.length === 0) throw new UnreadableDelivery(`The multipart body has no readable text part${trouble ? `: ${trouble}` : ''}`)
  return decodeForm(pairs.join('&'))
}

function boundaryIn(contentType: string): string {
  return /boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType)?.slice(1).find(Boolean) ?? ''
}

function collectText(stream: NodeJS.ReadableStream, done: (text: string) => void): void {
  const chunks: Buffer[] = []
  let bytes = 0
  stream.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes <= MAX_TEXT_PART_BYTES) chunks.push(chunk)
  })
  stream.on('error', () => {})
  stream.on('end', () => done(Buffer.concat(chunks).toString('utf8')))
}

function tooManyFields(): UnreadableDelivery {
  return new UnreadableDelivery(`The body has more than ${MAX_FIELDS} fields`)
}

/** Parsing 1 MB of brackets takes hundreds of MB; counting them takes none. What is wrong otherwise, the parser finds. */
function isNestedTooDeep(body: Buffer): boolean {
  let depth = 0
  let isText = false
  for (let i = 0; i < body.length; i += 1) {
    const byte = body[i]
    if (byte === QUOTE) isText = !isText
    else if (isText) i += byte === BACKSLASH ? 1 : 0
    else if (byte === OPENING_BRACE || byte === OPENING_BRACKET) depth += 1
    else if (byte === CLOSING_BRACE || byte === CLOSING_BRACKET) depth -= 1
    if (depth > MAX_JSON_NESTING) return true
  }
  return false
}

function tooDeep(): UnreadableDelivery {
  return new UnreadableDelivery('The body is nested deeper than can be read')
}

/** What is nested deeper than any field of ours stays as it came, as text. */
function asJson(value: object): string {
  try {
    return JSON.stringify(value)
  } catch {
    throw tooDeep()
  }
}

const FORBIDDEN = new Set(['__proto__', 'constructor', 'prototype'])

/** Scalars become text, so that JSON and forms compare; NUL, which PostgreSQL refuses, becomes U+FFFD; null becomes empty. */
function tidy(value: object): Fields {
  let left = MAX_FIELDS
  const text = (raw: string): string => raw.replaceAll('\0', '\uFFFD').toWellFormed()
  const visit = (each: unknown, depth: number): FieldValue => {
    if (--left < 0) throw tooManyFields()
    if (depth > MAX_DEPTH && typeof each === 'object' && each !== null) return text(asJson(each))
    if (each === null || each === undefined) return ''
    if (typeof each === 'string') return text(each)
    if (Array.isArray(each)) return each.map((item) => visit(item, depth + 1))
    if (typeof each === 'object') return visitFields(each, depth)
    return JSON.stringify(each) // a number or a truth value: JSON and forms know no other scalars
  }
  const visitFields = (each: object, depth: number): Fields =>
    Object.fromEntries(
      Object.entries(each)
        .filter(([name]) => !FORBIDDEN.has(name))
        .map(([name, item]) => [text(name), visit(item, depth + 1)]),
    )
  return visitFields(value, 0)
}
