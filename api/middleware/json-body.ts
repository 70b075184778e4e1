// Bodies of our own API: JSON, small, flat, unambiguous.
import type { RequestHandler } from 'express'
import { visit } from 'jsonc-parser'
import { problem, type Problem } from '../../platform/problem.ts'
import { readBody } from '../read-body.ts'

const MAX_BYTES = 64 * 1024
const MAX_DEPTH = 8
const MAX_ITEMS = 1000
/** Left out wherever they stand: to JavaScript they are not just names. */
const IGNORED_KEYS = new Set(['__proto__', 'constructor', 'prototype'])

/** Puts the parsed body into `request.body`; undefined where there is none. */
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

/** A name that stands twice means something else to each reader; what is deep or long has no business here. */
function refuseAmbiguous(text: string): void {
  const namesOf: Set<string>[] = []
  let depth = 0
  let items = 0
  const open = (): void => {
    depth += 1
    if (depth > MAX_DEPTH) throw malformed(`The body is nested more than ${MAX_DEPTH} deep`)
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
      if (names.has(name)) throw malformed('A name stands twice in one object')
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
