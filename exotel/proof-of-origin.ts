// Whether a delivery comes from Exotel: a signature over the raw bytes, HTTP Basic or a token in the callback URL.
// Exotel documents no signature; an ordinary account proves itself by what its callback URL holds.
import { createHmac, timingSafeEqual } from 'node:crypto'
import { sameText } from '../platform/same-text.ts'

export interface OriginSettings {
  /** Every one of them is accepted, so that secrets can be rotated. */
  signatureSecrets: string[]
  /** `user:password` */
  basic?: string | undefined
  token?: string | undefined
  timestamp: 'enforce' | 'log'
}

export interface Presented {
  method: string
  rawBody: Buffer
  /** Every `x-exotel-signature` header, apart. */
  signatures: string[]
  authorization: string | undefined
  token: string | undefined
  timestamp: string | undefined
}

export type Verdict = { proven: true; by: 'signature' | 'basic' | 'token'; staleTimestamp: boolean } | { proven: false; reason: string }

const TIMESTAMP_WINDOW_SECONDS = 300

/** Any one proof suffices, but a signature that is there and wrong is refused whatever else is right. */
export function proveOrigin(presented: Presented, settings: OriginSettings, now: Date): Verdict {
  const by = whichProof(presented, settings)
  if (by !== 'signature' && by !== 'basic' && by !== 'token') return { proven: false, reason: by.refused }
  const staleTimestamp = presented.timestamp !== undefined && !isRecent(presented.timestamp, now)
  if (staleTimestamp && settings.timestamp === 'enforce') return { proven: false, reason: 'Webhook timestamp is outside 5 minutes' }
  return { proven: true, by, staleTimestamp }
}

function whichProof(presented: Presented, settings: OriginSettings): 'signature' | 'basic' | 'token' | { refused: string } {
  const { signatureSecrets: secrets, basic, token } = settings
  // A GET has no body to sign: its signature proves nothing, neither way.
  const signatures = presented.method === 'POST' && secrets.length > 0 ? presented.signatures : []
  if (signatures.length > 0) {
    const right = signatures.every((signature) => isSignedBy(presented.rawBody, signature, secrets))
    return right ? 'signature' : { refused: 'Invalid webhook signature' }
  }
  if (basic && presented.authorization !== undefined && sameText(spelledUsually(presented.authorization), basicHeader(basic)))
    return 'basic'
  if (token && presented.token !== undefined && sameText(presented.token, token)) return 'token'
  if (presented.authorization !== undefined && basic) return { refused: 'Invalid webhook credentials' }
  if (presented.token !== undefined && token) return { refused: 'Invalid webhook token' }
  return { refused: secrets.length > 0 ? 'Missing webhook signature' : 'Missing webhook credentials' }
}

/** HMAC-SHA1 of the raw bytes, in hex or base64, with or without `sha1=`. Checked in form first: Buffer.from reads anything. */
function isSignedBy(rawBody: Buffer, signature: string, secrets: string[]): boolean {
  const digest = readDigest(signature.replace(/^sha1=/i, ''))
  return digest !== undefined && secrets.some((secret) => timingSafeEqual(createHmac('sha1', secret).update(rawBody).digest(), digest))
}

function readDigest(text: string): Buffer | undefined {
  if (/^[0-9a-f]{40}$/i.test(text)) return Buffer.from(text, 'hex')
  if (/^[A-Za-z0-9+/]{27}=$/.test(text)) return Buffer.from(text, 'base64')
  return undefined
}

/** The scheme's name has no case (RFC 9110). */
function spelledUsually(authorization: string): string {
  return authorization.replace(/^basic\s+/i, 'Basic ')
}

function basicHeader(userAndPassword: string): string {
  return `Basic ${Buffer.from(userAndPassword).toString('base64')}`
}

function isRecent(timestamp: string, now: Date): boolean {
  return /^\d{1,12}$/.test(timestamp) && Math.abs(now.getTime() / 1000 - Number(timestamp)) <= TIMESTAMP_WINDOW_SECONDS
}
