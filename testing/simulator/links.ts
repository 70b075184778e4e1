// Links to recordings: plain links, which need the account's key, and pre-signed links, which need no other credential until they expire.
import { createHmac } from 'node:crypto'
import type { SimulatedCall } from './call.ts'

export interface Links {
  /** Exotel's plain link to the recording. */
  recordingUrl(call: SimulatedCall): string
  /** The same link with a signature. */
  signedUrl(call: SimulatedCall, expiresAt: Date): string
  /** A signed link on another host, which refuses credentials as S3 does. */
  presignedUrl(call: SimulatedCall, expiresAt: Date): string
  readSignature(call: SimulatedCall, query: URLSearchParams): 'absent' | 'wrong' | 'expired' | 'valid'
}

/** @param urls base URLs of the simulator's own links and of its pre-signed links */
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
