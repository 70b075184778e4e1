// The few pages that people see: a shell without a word of script in it, so that the policy can forbid inline scripts.
import type { RequestHandler } from 'express'

interface Page {
  title: string
  scripts: string[]
  styles: string[]
}

/** The script fills `#page`. No input of anybody goes into the shell. */
export function page({ title, scripts, styles }: Page): RequestHandler {
  const html = [
    '<!doctype html>',
    '<html lang="en">',
    `<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="referrer" content="no-referrer"><title>${title}</title>`,
    ...styles.map((href) => `<link rel="stylesheet" href="${href}">`),
    '</head>',
    '<body><main id="page"></main>',
    ...scripts.map((src) => `<script src="${src}"></script>`),
    '</body></html>',
  ].join('\n')
  return (_request, response) => void response.type('html').send(html)
}
