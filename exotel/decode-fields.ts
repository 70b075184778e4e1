// Decodes the body or query of a delivery into nested text fields, in any encoding. Only authenticated deliveries are decoded.
import busboy from 'busboy'
import { parseTree, type Node } from 'jsonc-parser'
import qs from 'qs'

/** Text, or nested values. JSON, forms, multipart and queries have this form after scalars were converted to text. */
export type FieldValue = string | FieldValue[] | Fields
export interface Fields {
  [name: string]: FieldValue
}

/** The delivery is authenticated, but it cannot be decoded. The message says why. */
export class UnreadableDelivery extends Error {}

/** Far more than Exotel sends. A delivery with more fields is rejected, so that none is dropped silently. */
const MAX_FIELDS = 10_000
const MULTIPART_DEADLINE_MS = 1000
const MAX_DEPTH = 6
/** JSON that is nested deeper is rejected. Values below MAX_DEPTH are kept as JSON text. */
const MAX_JSON_NESTING = 100
const CRLF = Buffer.from('\r\n')
const MAX_TEXT_PART_BYTES = 64 * 1024

/**
 * @param contentType the header as received; if its type is unknown, the first characters of the body determine the encoding
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

/** Decodes a query string or form. Names such as `Stream[Status]` become nested fields. */
export function decodeForm(text: string): Fields {
  if (text.split('&', MAX_FIELDS + 1).length > MAX_FIELDS) throw tooManyFields() // qs would drop the rest silently
  const limits = { depth: MAX_DEPTH, parameterLimit: MAX_FIELDS, arrayLimit: MAX_FIELDS, allowPrototypes: false }
  return normalize(qs.parse(text, { ...limits, decoder: decodePart }))
}

/** In names such as `Stream[0].RecordingUrl`, qs would drop what follows the last bracket. */
function decodePart(part: string, decode: (part: string) => string, _charset: string, kind: 'key' | 'value'): string {
  const decoded = decode(part)
  return kind === 'key' ? decoded.replaceAll(/(?<=\])(?:\.[^.[\]]+)+/g, (names) => names.replaceAll(/\.([^.]+)/g, '[$1]')) : decoded
}

type Encoding = 'json' | 'multipart' | 'form'

/**
 * Rejects a body whose first characters show another encoding than its content type. A signature covers neither the route nor the
 * content type, so a signed body must not decode differently if somebody sends it with another content type.
 */
function encodingOf(body: Buffer, contentType: string | undefined): Encoding {
  const declared = declaredEncoding(contentType)
  const detected = detectEncoding(body)
  if (declared === 'form' && detected !== 'form') throw encodingMismatch(declared, detected)
  if (declared === 'multipart' && !startsWithBoundary(body, contentType ?? '')) throw encodingMismatch(declared, detected)
  if (declared === undefined && detected === 'multipart') throw new UnreadableDelivery('The body is multipart, but its content type is not')
  return declared ?? detected
}

function declaredEncoding(contentType: string | undefined): Encoding | undefined {
  const type = contentType?.split(';')[0]?.trim().toLowerCase() ?? ''
  if (type === 'application/json' || type.endsWith('+json')) return 'json'
  if (type === 'multipart/form-data') return 'multipart'
  return type === 'application/x-www-form-urlencoded' ? 'form' : undefined
}

const BYTE_ORDER_MARK = Buffer.from('\uFEFF')

/** The encoding that the first characters show. */
function detectEncoding(body: Buffer): Encoding {
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

function encodingMismatch(declared: Encoding, detected: Encoding): UnreadableDelivery {
  const looksLike = declared === detected ? 'does not start with its boundary' : `looks like ${detected}`
  return new UnreadableDelivery(`The content type is ${declared}, but the body ${looksLike}`)
}

/** Decodes a field that contains JSON text. Undefined if it cannot be decoded. */
export function decodeJsonText(text: string): FieldValue | undefined {
  try {
    return normalize({ text: parseJson(Buffer.from(text)) }).text
  } catch (error) {
    if (error instanceof UnreadableDelivery) return undefined
    throw error
  }
}

/** All texts in a value, in their order. */
export function textsIn(value: FieldValue): string[] {
  if (typeof value === 'string') return [value]
  return (Array.isArray(value) ? value : Object.values(value)).flatMap(textsIn)
}

function decodeJson(body: Buffer): Fields {
  const value = parseJson(body)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new UnreadableDelivery('The JSON body is not an object')
  return normalize(value)
}

/** Removes a byte order mark. */
const utf8 = new TextDecoder()

/** Parses JSON. The values of a name that an object contains several times become a list, as in a form; JSON.parse keeps only the last. */
function parseJson(bytes: Buffer): unknown {
  if (isNestedTooDeep(bytes)) throw tooDeep()
  const text = utf8.decode(bytes)
  try {
    JSON.parse(text) // stricter than jsonc-parser
  } catch {
    throw new UnreadableDelivery('The body is not valid JSON')
  }
  return valueOf(parseTree(text)!)
}

function valueOf(node: Node): unknown {
  if (node.type === 'array') return node.children!.map(valueOf)
  if (node.type !== 'object') return node.value
  const values = new Map<string, unknown[]>()
  for (const { children: [name, value] = [] } of node.children!) {
    const key = name!.value as string
    const earlier = values.get(key)
    if (earlier) earlier.push(valueOf(value!))
    else values.set(key, [valueOf(value!)])
  }
  return Object.fromEntries([...values].map(([key, each]) => [key, each.length === 1 ? each[0] : each]))
}

/** Returns the text parts that can be read, even if the rest of the body is broken. Ignores file parts. */
async function decodeMultipart(body: Buffer, contentType: string): Promise<Fields> {
  const pairs: string[] = []
  let deadline: NodeJS.Timeout | undefined
  const parseError = await new Promise<string | undefined>((resolve) => {
    // For some broken bodies, the parser never finishes.
    deadline = setTimeout(() => resolve('the body does not end'), MULTIPART_DEADLINE_MS)
    try {
      const parser = busboy({
        headers: { 'content-type': contentType },
        limits: { fieldSize: MAX_TEXT_PART_BYTES },
        defParamCharset: 'utf8',
      })
      const add = (name: string, value: string): void => void pairs.push(`${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
      parser.on('field', add)
      parser.on('file', (name, stream, { filename }) => {
        // A part with an empty file name is a text field.
        if (filename) stream.on('error', () => {}).resume()
        else collectText(stream, (text) => add(name, text))
      })
      parser.on('error', (error) => resolve(error instanceof Error ? error.message : 'unreadable'))
      parser.on('close', () => resolve(undefined))
      parser.write(body)
      // Some senders omit the closing boundary. A second one is ignored.
      parser.end(`${body.subarray(-2).equals(CRLF) ? '' : '\r\n'}--${boundaryIn(contentType)}--\r\n`)
    } catch (error) {
      resolve(error instanceof Error ? error.message : 'unreadable')
    }
  })
  clearTimeout(deadline)
  if (pairs.length === 0) throw new UnreadableDelivery(`The multipart body has no readable text part${parseError ? `: ${parseError}` : ''}`)
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

/** Counts brackets before parsing, because JSON.parse needs hundreds of MB for 1 MB of brackets. The parser finds all other errors. */
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
  return new UnreadableDelivery(`The body is nested deeper than ${MAX_JSON_NESTING} levels`)
}

/** JSON text of a value that is nested deeper than any known field. */
function asJson(value: object): string {
  try {
    return JSON.stringify(value)
  } catch {
    throw tooDeep()
  }
}

const FORBIDDEN = new Set(['__proto__', 'constructor', 'prototype'])

/** Scalars become text, so that JSON and forms are equal. NUL, which PostgreSQL rejects, becomes U+FFFD. Null becomes empty text. */
function normalize(value: object): Fields {
  let left = MAX_FIELDS
  const text = (raw: string): string => raw.replaceAll('\0', '\uFFFD').toWellFormed()
  const visit = (each: unknown, depth: number): FieldValue => {
    if (--left < 0) throw tooManyFields()
    if (depth > MAX_DEPTH && typeof each === 'object' && each !== null) return text(asJson(each))
    if (each === null || each === undefined) return ''
    if (typeof each === 'string') return text(each)
    if (Array.isArray(each)) return each.map((item) => visit(item, depth + 1))
    if (typeof each === 'object') return visitFields(each, depth)
    return JSON.stringify(each) // a number or a boolean; there are no other scalars
  }
  const visitFields = (each: object, depth: number): Fields =>
    Object.fromEntries(
      Object.entries(each)
        .filter(([name]) => !FORBIDDEN.has(name))
        .map(([name, item]) => [text(name), visit(item, depth + 1)]),
    )
  return visitFields(value, 0)
}
