// Asks for a recording: redirects followed by hand, each checked, credentials for Exotel's own hosts only.
import { createHttpAgents, discardBody, httpGet, type HttpAgents, type HttpResponse } from './http-request.ts'
import type { KnownPart } from './recording-version.ts'
import { checkUrl, guardedLookup, type UrlPolicy } from './url-policy.ts'

export interface RecordingRequest {
  /** The part on disk; what follows it is requested, on the condition that the recording is still the same. */
  part?: KnownPart | undefined
  signal: AbortSignal
}

interface ExotelCredentials {
  apiKey: string
  apiToken: string
}

export interface RecordingSource {
  policy: UrlPolicy
  credentials: ExotelCredentials
  agents: HttpAgents
}

/** From a link's request to the start of the audio, for all redirects and the bodies of all other responses together. */
export const START_DEADLINE_MS = 30_000
const MAX_REDIRECTS = 5

/** Sockets that only ever connect to addresses that the policy allows. */
export function createRecordingAgents(policy: UrlPolicy): HttpAgents {
  return createHttpAgents(guardedLookup(policy))
}

/**
 * `link.kind` is `named` where a webhook or the API named the recording by it, `presigned` where the link is its own credential.
 * The last answer behind all redirects, its body unread.
 * @throws {UrlRefused | HostNotAllowed} or what {@link httpGet} throws
 */
export async function requestRecording(
  link: { url: string; kind: 'named' | 'presigned' },
  { part, signal }: RecordingRequest,
  { policy, credentials, agents }: RecordingSource,
): Promise<HttpResponse> {
  let { url, own } = checkUrl(link.url, policy, link.kind === 'named' ? 'named' : 'redirect')
  own &&= link.kind === 'named'
  for (let redirects = 0; ; redirects += 1) {
    const response = await httpGet(url, {
      agents,
      signal,
      headers: {
        'accept-encoding': 'identity',
        ...(own && !isSigned(url) ? basic(credentials) : {}),
        ...(part ? { range: `bytes=${part.from}-`, 'if-range': part.validator } : {}),
      },
    })
    const location = response.headers.location
    if (response.statusCode < 300 || response.statusCode >= 400 || response.statusCode === 304 || location === undefined) return response
    await discardBody(response.body)
    if (redirects === MAX_REDIRECTS) throw new Error(`The link redirects more than ${MAX_REDIRECTS} times`)
    if (!URL.canParse(location, url.href)) throw new Error('The link redirects to something that is not a URL')
    const next = checkUrl(new URL(location, url.href).href, policy, 'redirect')
    own = next.own && own // once away from Exotel, no credentials any more
    url = next.url
  }
}

/** Stores refuse a request that brings two kinds of credentials. */
function isSigned({ searchParams }: URL): boolean {
  return searchParams.has('Signature') || searchParams.has('X-Amz-Signature')
}

function basic({ apiKey, apiToken }: ExotelCredentials): { authorization: string } {
  return { authorization: `Basic ${Buffer.from(`${apiKey}:${apiToken}`).toString('base64')}` }
}
