// Requests of the attacks.
import { gzipSync } from 'node:zlib'

/** A request without its body. */
export function head(method: string, path: string, headers: object = {}): string {
  const lines = Object.entries({ Host: 'x', ...headers }).map(([name, value]) => `${name}: ${value}`)
  return `${method} ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`
}

export async function post(apiUrl: string, path: string, body: string): Promise<Response> {
  return fetch(`${apiUrl}${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
}

/** Unicode normalization of this password takes quadratic time. */
export const LONG_PASSWORD = JSON.stringify({
  email: 'a@example.com',
  name: 'A',
  password: '\u0315\u0300\u05ae\u0591'.repeat(7500),
})

export function deepJson(length: number): string {
  const levels = Math.floor(length / 6)
  return `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`
}

export function formWithFields(count: number): string {
  return Array.from({ length: count }, (_, i) => `a[b][c][${i % 100}]=${i}`).join('&')
}

export function multipartWithParts(count: number): string {
  const parts = Array.from({ length: count }, (_, i) => `--B\r\nContent-Disposition: form-data; name="f${i}"\r\n\r\nx\r\n`)
  return `${parts.join('')}--B--\r\n`
}

let packed: Buffer | undefined
export function compressed(length: number): Buffer {
  packed ??= gzipSync(Buffer.alloc(length))
  return packed
}

/** Sends requests without credentials, each from a different client behind a trusted proxy. */
export async function manyAddresses(apiUrl: string, count: number, path: string): Promise<void> {
  await repeated(count, 20, (i) => {
    const address = i % 2 === 0 ? `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}` : `2001:db8:${i.toString(16)}::1`
    return fetch(`${apiUrl}${path}`, { method: 'POST', headers: { 'x-forwarded-for': address } })
  })
}

export function times<T>(count: number, work: (index: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => work(index)))
}

/** Sends `count` requests, `atOnce` of them concurrently. The responses are ignored. */
export async function repeated(count: number, atOnce: number, send: (i: number) => Promise<Response>): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < count) {
      next += 1
      await send(next).then(
        (response) => response.text(),
        () => {},
      )
    }
  }
  await times(atOnce, worker)
}
