// The few pages that people see: a shell without a word of script in it, so that the policy can forbid inline scripts.
import { Router } from 'express'
import { methodNotAllowed } from './middleware/errors.ts'

interface Page {
  title: string
  /** File name → text; the scripts fill `#page`, in this order. */
  scripts: Record<string, string>
  styles: Record<string, string>
}

/** The page at `path` and its files below. No input of anybody goes into any of them. */
export function pageRoutes(path: string, { title, scripts, styles }: Page): Router {
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
    router.get(at, (_request, response) => void response.type(type).send(text))
    router.all(at, methodNotAllowed(['GET', 'HEAD']))
  }
  serve(path, 'html', html)
  for (const [name, text] of Object.entries(scripts)) serve(`${path}/${name}`, 'js', text)
  for (const [name, text] of Object.entries(styles)) serve(`${path}/${name}`, 'css', text)
  return router
}
