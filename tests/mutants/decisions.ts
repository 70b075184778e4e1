import type { Mistake } from './mistake.ts'

/** Mistakes in workflows, in what Exotel is asked, and in what its answers mean. */
export const decisions: Mistake[] = [
  {
    breaks: 'a portion of the list that ended early counts as whole',
    file: 'workflows/calls-list.ts',
    text: 'return { passId, from, to, came: 0,',
    replacement: 'return { passId, from, to, came: progress.came,',
    tests: ['tests/workflows/reconcile.test.ts'],
    only: 'second portion of a long window ends early',
  },
  {
    breaks: 'a socket is opened to a private address that a name has beside a public one',
    file: 'exotel/url-policy.ts',
    text: 'for (const { address } of addresses) checkAddress(address, policy)',
    replacement: 'for (const { address } of addresses.slice(0, 1)) checkAddress(address, policy)',
    tests: ['tests/unit/links.test.ts'],
    only: 'a public and a private address',
  },
  {
    breaks: 'stores refuse a link that brings a signature and our key',
    file: 'exotel/recording-request.ts',
    text: '...(own && !isSigned(url) ? basic(credentials) : {}),',
    replacement: '...(own ? basic(credentials) : {}),',
    tests: ['tests/unit/recording-request.test.ts'],
    only: 'which stores refuse beside a key',
  },
  {
    breaks: 'another host learns where our key is sent, and has it sent there',
    file: 'exotel/recording-request.ts',
    text: 'own = next.own && own',
    replacement: 'own = next.own',
    tests: ['tests/unit/recording-request.test.ts'],
    only: 'to no other host',
  },
  {
    breaks: 'a pre-signed link that expired between two attempts is not renewed, and the recording fails',
    file: 'workflows/retry-state.ts',
    text: "linkRenewed: state.linkRenewed && code === 'ExotelUnauthorized',",
    replacement: 'linkRenewed: state.linkRenewed,',
    tests: ['tests/unit/retry-state.test.ts'],
    only: 'another failure in between',
  },
  {
    breaks: 'a recording that a webhook and the API name is transferred twice',
    file: 'workflows/recording-inbox.ts',
    text: 'if (current) return void',
    replacement: 'if (current) void',
    tests: ['tests/workflows/side-by-side.test.ts'],
    only: 'names a recording that is being transferred',
  },
  {
    breaks: 'a call of exactly the expected length without a recording is not reported as missing',
    file: 'workflows/find-recording.ts',
    text: 'seconds >= policy.expectedFromSeconds',
    replacement: 'seconds > policy.expectedFromSeconds',
    tests: ['tests/workflows/waits.test.ts'],
    only: 'exactly 10 s',
  },
]
