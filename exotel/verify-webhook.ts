// Verifies that a delivery comes from Exotel, by a signature over the raw body, HTTP Basic or a token in the callback URL.
// Exotel documents no signature. An ordinary account authenticates with the credentials in its callback URL.
import { createHmac, timingSafeEqual } from 'node:crypto'
import { constantTimeEqual } from '../platform/constant-time-equal.ts'

export interface WebhookAuthSettings {
  /** All of them are accepted, so that secrets can be rotated. */
  signatureSecrets: string[]
  /** `user:password` */
  basic?: string | undefined
  token?: string | undefined
  timestamp: 'enforce' | 'log'
}

export interface WebhookCredentials {
  method: string
  rawBody: Buffer
  /** The value of each `x-exotel-signature` header. */
  signatures: string[]
  authorization: string | undefined
  token: string | undefined
  timestamp: string | undefined
}

/** Why the authentication failed: a stable code for logs and metrics (docs/names.md), and the sentence for the sender. */
export const AUTH_FAILURES = {
  missing_signature: 'Missing webhook signature',
  invalid_signature: 'Invalid webhook signature',
  missing_credentials: 'Missing webhook credentials',
  invalid_credentials: 'Invalid webhook credentials',
  invalid_token: 'Invalid webhook token',
  stale_timestamp: 'Webhook timestamp differs from the current time by more than 5 minutes',
} as const
export type AuthFailure = keyof typeof AUTH_FAILURES

export type Verdict =
  { proven: true; by: 'signature' | 'basic' | 'token'; staleTimestamp: boolean } | { proven: false; reason: AuthFailure }

const TIMESTAMP_WINDOW_SECONDS = 300

/**
 * One valid method suffices. But if a signature is checked (a POST with a signature, and a secret is set), a wrong one is rejected even if
 * another method is valid.
 */
export function verifyWebhook(credentials: WebhookCredentials, settings: WebhookAuthSettings, now: Date): Verdict {
  const signatures = relevantSignatures(credentials, settings)
  const isSigned = signatures.every((signature) => isSignedBy(credentials.rawBody, signature, settings.signatureSecrets))
  if (!isSigned) return refused('invalid_signature')
  return signatures.length > 0 ? proven('signature', credentials, settings, now) : verifyCredentials(credentials, settings, now)
}

/** The verdict before the body is read. It is final, unless the headers contain a signature that the body has to match. */
export function checkHeaders(
  credentials: Omit<WebhookCredentials, 'rawBody'>,
  settings: WebhookAuthSettings,
  now: Date,
): Verdict | 'needs body' {
  const signatures = relevantSignatures(credentials, settings)
  if (signatures.length === 0) return verifyCredentials(credentials, settings, now)
  if (signatures.some((signature) => readDigest(signature) === undefined)) return refused('invalid_signature')
  const verdict = proven('signature', credentials, settings, now)
  return verdict.proven ? 'needs body' : verdict
}

/** The signature of a GET is ignored, because a GET has no body to sign. */
function relevantSignatures(
  { method, signatures }: Pick<WebhookCredentials, 'method' | 'signatures'>,
  { signatureSecrets }: WebhookAuthSettings,
): string[] {
  return method === 'POST' && signatureSecrets.length > 0 ? signatures : []
}

function verifyCredentials(credentials: Omit<WebhookCredentials, 'rawBody'>, settings: WebhookAuthSettings, now: Date): Verdict {
  const { authorization, token } = credentials
  if (settings.basic && authorization !== undefined && constantTimeEqual(withCanonicalScheme(authorization), basicHeader(settings.basic)))
    return proven('basic', credentials, settings, now)
  if (settings.token && token !== undefined && constantTimeEqual(token, settings.token)) return proven('token', credentials, settings, now)
  if (authorization !== undefined && settings.basic) return refused('invalid_credentials')
  if (token !== undefined && settings.token) return refused('invalid_token')
  return refused(settings.signatureSecrets.length > 0 ? 'missing_signature' : 'missing_credentials')
}

function proven(
  by: 'signature' | 'basic' | 'token',
  { timestamp }: Pick<WebhookCredentials, 'timestamp'>,
  settings: WebhookAuthSettings,
  now: Date,
): Verdict {
  const staleTimestamp = timestamp !== undefined && !isRecent(timestamp, now)
  if (staleTimestamp && settings.timestamp === 'enforce') return refused('stale_timestamp')
  return { proven: true, by, staleTimestamp }
}

function refused(reason: AuthFailure): Verdict {
  return { proven: false, reason }
}

/** HMAC-SHA1 of the raw body, in hex or base64, with or without `sha1=`. The form is checked first, because Buffer.from ignores errors. */
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

/** The name of the scheme is case-insensitive (RFC 9110). */
function withCanonicalScheme(authorization: string): string {
  return authorization.replace(/^basic\s+/i, 'Basic ')
}

function basicHeader(userAndPassword: string): string {
  return `Basic ${Buffer.from(userAndPassword).toString('base64')}`
}

function isRecent(timestamp: string, now: Date): boolean {
  return /^\d{1,12}$/.test(timestamp) && Math.abs(now.getTime() / 1000 - Number(timestamp)) <= TIMESTAMP_WINDOW_SECONDS
}
