// Whether a delivery comes from Exotel: a signature over the raw bytes, HTTP Basic or a token in the callback URL.
// Exotel documents no signature; an ordinary account proves itself by what its callback URL holds.
import { createHmac, timingSafeEqual } from 'node:crypto'
import { constantTimeEqual } from '../platform/constant-time-equal.ts'

export interface WebhookAuthSettings {
  /** Every one of them is accepted, so that secrets can be rotated. */
  signatureSecrets: string[]
  /** `user:password` */
  basic?: string | undefined
  token?: string | undefined
  timestamp: 'enforce' | 'log'
}

export interface WebhookCredentials {
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
export function verifyWebhook(credentials: WebhookCredentials, settings: WebhookAuthSettings, now: Date): Verdict {
  const signatures = judgedSignatures(credentials, settings)
  const isSigned = signatures.every((signature) => isSignedBy(credentials.rawBody, signature, settings.signatureSecrets))
  if (!isSigned) return refused('Invalid webhook signature')
  return signatures.length > 0 ? proven('signature', credentials, settings, now) : proveByCredentials(credentials, settings, now)
}

/** What the headers decide before the body is read: everything, unless they hold a signature that the body has to match. */
export function checkHeaders(
  credentials: Omit<WebhookCredentials, 'rawBody'>,
  settings: WebhookAuthSettings,
  now: Date,
): Verdict | 'needs body' {
  const signatures = judgedSignatures(credentials, settings)
  if (signatures.length === 0) return proveByCredentials(credentials, settings, now)
  if (signatures.some((signature) => readDigest(signature) === undefined)) return refused('Invalid webhook signature')
  const verdict = proven('signature', credentials, settings, now)
  return verdict.proven ? 'needs body' : verdict
}

/** A GET has no body to sign: its signature proves nothing, neither way. */
function judgedSignatures(
  { method, signatures }: Pick<WebhookCredentials, 'method' | 'signatures'>,
  { signatureSecrets }: WebhookAuthSettings,
): string[] {
  return method === 'POST' && signatureSecrets.length > 0 ? signatures : []
}

function proveByCredentials(credentials: Omit<WebhookCredentials, 'rawBody'>, settings: WebhookAuthSettings, now: Date): Verdict {
  const { authorization, token } = credentials
  if (settings.basic && authorization !== undefined && constantTimeEqual(spelledUsually(authorization), basicHeader(settings.basic)))
    return proven('basic', credentials, settings, now)
  if (settings.token && token !== undefined && constantTimeEqual(token, settings.token)) return proven('token', credentials, settings, now)
  if (authorization !== undefined && settings.basic) return refused('Invalid webhook credentials')
  if (token !== undefined && settings.token) return refused('Invalid webhook token')
  return refused(settings.signatureSecrets.length > 0 ? 'Missing webhook signature' : 'Missing webhook credentials')
}

function proven(
  by: 'signature' | 'basic' | 'token',
  { timestamp }: Pick<WebhookCredentials, 'timestamp'>,
  settings: WebhookAuthSettings,
  now: Date,
): Verdict {
  const staleTimestamp = timestamp !== undefined && !isRecent(timestamp, now)
  if (staleTimestamp && settings.timestamp === 'enforce') return refused('Webhook timestamp is outside 5 minutes')
  return { proven: true, by, staleTimestamp }
}

function refused(reason: string): Verdict {
  return { proven: false, reason }
}

/** HMAC-SHA1 of the raw bytes, in hex or base64, with or without `sha1=`. Checked in form first: Buffer.from reads anything. */
function isSignedBy(rawBody: Buffer, signature: string, secrets: string[]): boolean {
  const digest = readDigest(signature)
  return digest !== undefined && secrets.some((secret) => timingSafeEqual(createHmac('sha1', secret).update(rawBody).digest(), digest))
}

function readDigest(signature: string): Buffer | undefined {
  const text = signature.replace(/^sha1=/i, '')
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
