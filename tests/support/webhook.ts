import { createHmac } from 'node:crypto'
import { WEBHOOK_SECRET } from './backend.ts'

export type Route = 'call-start' | 'call-end' | 'recording'

export function sign(body: Buffer | string, secret = WEBHOOK_SECRET): string {
  return createHmac('sha1', secret).update(body).digest('hex')
}

/** Sends fields as signed JSON. */
export async function postWebhook(apiUrl: string, route: Route, fields: object, headers: Record<string, string> = {}): Promise<Response> {
  return postRaw(apiUrl, route, JSON.stringify(fields), { 'content-type': 'application/json', ...headers })
}

/** Sends any bytes. They are signed unless `headers` contains another signature. */
export async function postRaw(
  apiUrl: string,
  route: Route,
  body: Buffer | string,
  headers: Record<string, string> = {},
): Promise<Response> {
  return fetch(`${apiUrl}/webhooks/exotel/${route}`, {
    method: 'POST',
    body: body as string,
    headers: { 'x-exotel-signature': sign(body), ...headers },
  })
}
