// The few pages that people see: a shell without a word of script in it, so that the policy can forbid inline scripts.
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Router, type RequestHandler, type Response } from 'express'
import { methodNotAllowed } from './middleware/errors.ts'

interface Page {
  title: string
  /** File name → text; the scripts fill `#page`, in this order. */
  scripts: Record<string, string>
  styles: Record<string, string>
}

/**
 * The page at `path` and its files below. No input of anybody goes into any of them.
 * @param limit bounds how often an address may ask for any of them
 */
export function pageRoutes(path: string, { title, scripts, styles }: Page, limit: RequestHandler): Router {
  const html = [
    '<!doctype html>',
    '<html lang="en">',
    `<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title>`,
    ...Object.keys(styles).map((name) => `<link rel="stylesheet" href="${path}/${name}">`),
    '</head>',
    '<body><main id="page"></main>',
    ...Object.keys(scripts).map((name) => `<script src="${path}/${name}"></script>`),
    '</body></html>',
  ].join('\n')
  const router = Router()
  const serve = (at: string, type: string, text: string): void => {
    const bytes = Buffer.from(text)
    router.get(at, limit, (_request, response) => sendShared(response.type(type), bytes))
    router.all(at, limit, methodNotAllowed(['GET', 'HEAD']))
  }
  serve(path, 'html', html)
  for (const [name, text] of Object.entries(scripts)) serve(`${path}/${name}`, 'js', text)
  for (const [name, text] of Object.entries(styles)) serve(`${path}/${name}`, 'css', text)
  return router
}

/** One write. A client that takes less within 30 s is closed (`CONNECTION_LIMITS`). */
const SLICE_BYTES = 16 * 1024

/** Sends slices of one buffer as the client takes them, so that a client that does not read costs no memory. */
async function sendShared(response: Response, bytes: Buffer): Promise<void> {
  response.set('content-length', String(bytes.length))
  await pipeline(Readable.from(slicesOf(bytes)), response).catch(() => {}) // the client has gone
}

function* slicesOf(bytes: Buffer): Generator<Buffer> {
  for (let start = 0; start < bytes.length; start += SLICE_BYTES) yield bytes.subarray(start, start + SLICE_BYTES)
}
