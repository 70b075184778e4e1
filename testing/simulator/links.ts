// Links to recordings: plain ones, which need the account's key, and pre-signed ones, which are their own credential until they expire.
import { createHmac } from 'node:crypto'
import type { SimulatedCall } from './call.ts'

export interface Links {
  /** The link that Exotel names the recording by. */
  recordingUrl(call: SimulatedCall): string
  /** The same link with a signature. */
  signedUrl(call: SimulatedCall, expiresAt: Date): string
  /** A signed link on another host, as S3 is: it refuses credentials. */
  presignedUrl(call: SimulatedCall, expiresAt: Date): string
  readSignature(call: SimulatedCall, query: URLSearchParams): 'absent' | 'wrong' | 'expired' | 'valid'
}

/** @param urls where the stand-in's own links and its pre-signed links lead */
export function createLinks(
  urls: { own: () => string; presigned: string },
  { accountSid, apiToken }: { accountSid: string; apiToken: string },
): Links {
  const recordingUrl = (call: SimulatedCall): string => `${urls.own()}/recordings/${accountSid}/${fileOf(call)}`
  return {
    recordingUrl,
    signedUrl: (call, expiresAt) => `${recordingUrl(call)}?${signature(call, expiresAt.getTime())}`,
    presignedUrl: (call, expiresAt) => `${urls.presigned}/presigned/${fileOf(call)}?${signature(call, expiresAt.getTime())}`,
    readSignature(call, query) {
      if (!query.has('Signature')) return 'absent'
      const expiresAtMs = Number(query.get('Expires'))
      if (query.toString() !== signature(call, expiresAtMs)) return 'wrong'
      return Date.now() < expiresAtMs ? 'valid' : 'expired'
    },
  }

  function signature({ callSid }: SimulatedCall, expiresAtMs: number): string {
    const Signature = createHmac('sha256', apiToken).update(`${callSid} ${expiresAtMs}`).digest('hex')
    return new URLSearchParams({ Expires: String(expiresAtMs), Signature }).toString()
  }
}

function fileOf({ callSid, recording }: SimulatedCall): string {
  return `${callSid}.${recording?.fileName.split('.').at(-1) ?? 'mp3'}`
}
