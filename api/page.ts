// HTML pages without inline scripts, so that the Content-Security-Policy can forbid them.
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Router, type RequestHandler, type Response } from 'express'
import { methodNotAllowed } from './middleware/errors.ts'

interface Page {
  title: string
  /** File name → text. The scripts run in this order and fill `#page`. */
  scripts: Record<string, string>
  styles: Record<string, string>
}

/**
 * Routes for the page at `path` and its files below. They contain no user input.
 * @param limit limits the requests of an address for all of them
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

/** Size of one write. A client that reads less within 30 s is disconnected (`CONNECTION_LIMITS`). */
const SLICE_BYTES = 16 * 1024

/** Sends slices of one buffer as the client reads them, so that a client that does not read uses no memory. */
async function sendShared(response: Response, bytes: Buffer): Promise<void> {
  response.set('content-length', String(bytes.length))
  await pipeline(Readable.from(slicesOf(bytes)), response).catch(() => {}) // the client has disconnected
}

function* slicesOf(bytes: Buffer): Generator<Buffer> {
  for (let start = 0; start < bytes.length; start += SLICE_BYTES) yield bytes.subarray(start, start + SLICE_BYTES)
}
