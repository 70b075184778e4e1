import type { Mistake } from './mistake.ts'

/** Mistakes in the interpretation of links, redirects, DNS addresses and announced lengths, and of refusals by Exotel's API. */
export const requests: Mistake[] = [
  {
    breaks: 'our key is sent to a host that is configured as public',
    file: 'exotel/url-policy.ts',
    text: 'isIn(policy.hosts) && !isPublicHost',
    replacement: 'isIn(policy.hosts)',
    tests: ['tests/unit/links.test.ts'],
    only: 'although \\*\\.exotel\\.com matches it too',
  },
  {
    breaks: 'a redirect that is refused for an hour ends the recording for good',
    file: 'exotel/recording-request.ts',
    text: '    if (!(error instanceof UrlRefused)) throw error\n',
    replacement: '    if (error instanceof UrlRefused) throw error\n',
    tests: ['tests/storage/refused-destinations.test.ts'],
    only: 'When a redirect leads to',
  },
  {
    breaks: 'a wrong DNS address ends the recording for good',
    file: 'exotel/url-policy.ts',
    text: 'new DestinationRefused(`${hostname} cannot',
    replacement: 'new UrlRefused(`${hostname} cannot',
    tests: ['tests/storage/refused-destinations.test.ts'],
    only: 'resolves to a private address',
  },
  {
    breaks: 'nobody learns that redirects or DNS addresses are refused',
    file: 'activities/download-recording.ts',
    text: '  if (refusal) destinationAlarm.raise(new URL(link.url).hostname)\n',
    replacement: '',
    tests: ['tests/storage/refused-destinations.test.ts'],
    only: 'When a redirect leads to',
  },
  {
    breaks: 'an expired pre-signed link ends the recording for good',
    file: 'activities/download-recording.ts',
    text: 'return failures.at(-1)!',
    replacement: "return failures.findLast(({ code }) => code !== 'ExotelUnauthorized') ?? failures[0]!",
    tests: ['tests/storage/presigned-links.test.ts'],
    only: 'then the answer to the plain link decides',
  },
  {
    breaks: 'one response with a wrong length ends the recording for good',
    file: 'recordings/transfer.ts',
    text: 'throw new TransferBroken(`Exotel announced',
    replacement: 'throw new TooLarge(`Exotel announced',
    tests: ['tests/storage/announced-length.test.ts'],
    only: 'more than the limit',
  },
]
