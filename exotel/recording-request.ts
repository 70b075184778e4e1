// Requests a recording. Checks each redirect before it follows it, and sends credentials to Exotel's own hosts only.
import { createHttpAgents, discardBody, httpGet, type HttpAgents, type HttpResponse } from './http-request.ts'
import type { KnownPart } from './recording-version.ts'
import { checkUrl, DestinationRefused, guardedLookup, UrlRefused, type UrlPolicy } from './url-policy.ts'

export interface RecordingRequest {
  /** The part on disk. The request is for the bytes after it, on the condition that the recording has not changed (If-Range). */
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

/** From the first request to the start of the audio, including all redirects and the bodies of all other responses. */
export const START_DEADLINE_MS = 30_000
const MAX_REDIRECTS = 5

/** Connection pools that connect only to addresses that the policy allows. */
export function createRecordingAgents(policy: UrlPolicy): HttpAgents {
  return createHttpAgents(guardedLookup(policy))
}

/**
 * Follows all redirects and resolves with the final response. Its body is not read. `link.kind` is `named` if a webhook or the API sent
 * the link as the name of the recording, and `presigned` if the link contains its own credentials.
 * @throws {UrlRefused | HostNotAllowed | DestinationRefused} or what {@link httpGet} throws
 */
export async function requestRecording(
  link: { url: string; kind: 'named' | 'presigned' },
  { part, signal }: RecordingRequest,
  { policy, credentials, agents }: RecordingSource,
): Promise<HttpResponse> {
  let { url, isExotelHost: mayGetCredentials } = checkUrl(link.url, policy, link.kind === 'named' ? 'named' : 'redirect')
  mayGetCredentials &&= link.kind === 'named'
  for (let redirects = 0; ; redirects += 1) {
    const response = await httpGet(url, {
      agents,
      signal,
      headers: {
        'accept-encoding': 'identity',
        ...(mayGetCredentials && !isSigned(url) ? basic(credentials) : {}),
        ...(part ? { range: `bytes=${part.from}-`, 'if-range': part.validator } : {}),
      },
    })
    const location = response.headers.location
    if (response.statusCode < 300 || response.statusCode >= 400 || response.statusCode === 304 || location === undefined) return response
    await discardBody(response.body)
    if (redirects === MAX_REDIRECTS) throw new Error(`The link redirects more than ${MAX_REDIRECTS} times`)
    if (!URL.canParse(location, url.href)) throw new Error('The link redirects to something that is not a URL')
    const next = checkRedirect(url, new URL(location, url.href), policy)
    mayGetCredentials &&= next.isExotelHost // after a redirect to another host, no credentials are sent
    url = next.url
  }
}

/** @throws {DestinationRefused} with the hosts only, because paths and queries may be secrets */
function checkRedirect(from: URL, to: URL, policy: UrlPolicy): ReturnType<typeof checkUrl> {
  try {
    return checkUrl(to.href, policy, 'redirect')
  } catch (error) {
    if (!(error instanceof UrlRefused)) throw error
    throw new DestinationRefused(`${from.host} redirects to ${to.protocol}//${to.host}: ${error.message}`)
  }
}

/** S3 stores reject a request with two kinds of credentials. */
function isSigned({ searchParams }: URL): boolean {
  return searchParams.has('Signature') || searchParams.has('X-Amz-Signature')
}

function basic({ apiKey, apiToken }: ExotelCredentials): { authorization: string } {
  return { authorization: `Basic ${Buffer.from(`${apiKey}:${apiToken}`).toString('base64')}` }
}
