// Parses the JSON bodies of our own API. Rejects bodies that are large, deeply nested or ambiguous.
import type { RequestHandler } from 'express'
import { visit } from 'jsonc-parser'
import { problem, type Problem } from '../../platform/http-problems.ts'
import { readBody } from '../read-body.ts'

const MAX_BYTES = 64 * 1024
const MAX_DEPTH = 8
const MAX_ITEMS = 1000
/** Removed at every level, because these names have a special meaning in JavaScript. */
const IGNORED_KEYS = new Set(['__proto__', 'constructor', 'prototype'])

/** Puts the parsed body into `request.body`; undefined if there is none. */
export const jsonBody: RequestHandler = async (request, response, next) => {
  const bytes = await readBody(request, response, MAX_BYTES)
  if (bytes.length === 0) return next()
  if (!request.is('application/json'))
    throw problem('unsupported_media_type', 'Send the body as application/json', { Accept: 'application/json' })
  request.body = parse(bytes)
  next()
}

/** @throws {Problem} `malformed_json` */
function parse(bytes: Buffer): unknown {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw malformed('The body is not UTF-8')
  }
  let body: unknown
  try {
    body = JSON.parse(text, (key, value: unknown) => (IGNORED_KEYS.has(key) ? undefined : value))
  } catch {
    throw malformed('The body is not JSON')
  }
  refuseAmbiguous(text)
  return body
}

/** Parsers disagree about a name that occurs twice in an object. No operation needs deeply nested or long bodies. */
function refuseAmbiguous(text: string): void {
  const namesOf: Set<string>[] = []
  let depth = 0
  let items = 0
  const open = (): void => {
    depth += 1
    if (depth > MAX_DEPTH) throw malformed(`The body is nested deeper than ${MAX_DEPTH} levels`)
  }
  const close = (): void => void (depth -= 1)
  const count = (): void => {
    items += 1
    if (items > MAX_ITEMS) throw malformed(`The body has more than ${MAX_ITEMS} values`)
  }
  visit(text, {
    onObjectBegin() {
      open()
      count()
      namesOf.push(new Set())
    },
    onObjectProperty(name) {
      const names = namesOf.at(-1)!
      if (names.has(name)) throw malformed('An object contains the same name twice')
      names.add(name)
    },
    onObjectEnd() {
      close()
      namesOf.pop()
    },
    onArrayBegin() {
      open()
      count()
    },
    onArrayEnd: close,
    onLiteralValue: count,
  })
}

function malformed(detail: string): Problem {
  return problem('malformed_json', detail)
}
