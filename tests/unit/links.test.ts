import { afterAll, describe, expect, jest, test } from '@jest/globals'
import {
  checkAddress,
  checkUrl,
  DestinationRefused,
  guardedLookup,
  HostNotAllowed,
  UrlRefused,
  type UrlPolicy,
} from '../../exotel/url-policy.ts'

const policy = { hosts: ['*.exotel.com', '*.exotel.in'], publicHosts: [], allowLocal: false }
const development = { hosts: ['127.0.0.1'], publicHosts: [], allowLocal: true }

describe('When a link is checked', () => {
  test.each(['https://recordings.exotel.com/1.mp3', 'https://a.b.exotel.in/1', 'https://recordings.exotel.com.:443/1.mp3'])(
    'then %s leads to Exotel’s own host',
    (link) => {
      expect(checkUrl(link, policy, 'named')).toMatchObject({ isExotelHost: true })
    },
  )

  describe('then its port is checked as well:', () => {
    const withPort = { ...policy, hosts: ['recordings.exotel.com:8443', '*.exotel.in:443', 'api.exotel.com'] }
    test.each([
      ['https://recordings.exotel.com:8443/1.mp3', true],
      ['https://recordings.exotel.com/1.mp3', false],
      ['https://recordings.exotel.com:443/1.mp3', false],
      ['https://a.exotel.in/1.mp3', true],
      ['https://a.exotel.in:443/1.mp3', true],
      ['https://a.exotel.in:8443/1.mp3', false],
      ['https://api.exotel.com/1.mp3', true],
      ['https://api.exotel.com:444/1.mp3', false],
    ])('%s gets our key: %s', (link, isExotelHost) => {
      expect(checkUrl(link, withPort, 'redirect')).toMatchObject({ isExotelHost })
      if (isExotelHost) expect(checkUrl(link, withPort, 'named')).toMatchObject({ isExotelHost })
      else expect(() => checkUrl(link, withPort, 'named')).toThrow(HostNotAllowed)
    })
  })

  test('then links of a public host are allowed without our key, and links of similar hosts are not allowed', () => {
    const shared = { ...policy, publicHosts: ['s3-ap-southeast-1.amazonaws.com', '*.cdn.example:8443'] }
    for (const link of ['https://s3-ap-southeast-1.amazonaws.com/bucket/1.mp3', 'https://a.cdn.example:8443/1.mp3']) {
      expect(checkUrl(link, shared, 'named')).toMatchObject({ isExotelHost: false })
    }
    for (const link of ['https://s3-ap-southeast-2.amazonaws.com/1.mp3', 'https://a.cdn.example/1.mp3', 'https://cdn.example:8443/']) {
      expect(() => checkUrl(link, shared, 'named')).toThrow(HostNotAllowed)
    }
    expect(() => checkUrl('https://10.0.0.1/', { ...policy, publicHosts: ['10.0.0.1'] }, 'named')).toThrow(UrlRefused)
  })

  test.each(['named', 'redirect'] as const)('then a public host gets no key, although *.exotel.com matches it too: %s', (how) => {
    const overlapping = { ...policy, hosts: ['*.exotel.com'], publicHosts: ['cdn.exotel.com'] }
    expect(checkUrl('https://cdn.exotel.com/1.mp3', overlapping, how)).toMatchObject({ isExotelHost: false })
    expect(checkUrl('https://recordings.exotel.com/1.mp3', overlapping, how)).toMatchObject({ isExotelHost: true })
  })

  test.each([
    ['https://xpi.exotel.com/', ['api.exotel.com']],
    ['https://.exotel.com/', ['*.exotel.com']],
    ['https://evil.test/https://s3-ap-southeast-1.amazonaws.com/exotelrecordings/a.mp3', []],
  ])('then %s matches none of the hosts %j, and the error names the host and the settings', (link, hosts) => {
    const { host } = new URL(link)
    expect(() => checkUrl(link, { ...policy, hosts }, 'named')).toThrow(
      `The link's host ${host} is in neither EXOTEL_RECORDING_HOSTS nor EXOTEL_PUBLIC_RECORDING_HOSTS`,
    )
  })

  test.each([
    ['nonsense', 'The link is not a URL'],
    ['invalid:abc', 'The link is not a URL, or HTTP clients parse it differently'],
    ['ftp://recordings.exotel.com/', "The link's scheme is ftp; only https is allowed"],
    ['https://user@recordings.exotel.com/', 'The link contains credentials'],
    ['https://:pw@recordings.exotel.com/', 'The link contains credentials'],
    ['https://10.0.0.1/', 'The link leads to a private address'],
    ['https://[4000::1]/', 'The link leads to a reserved address'],
    ['https://100.100.100.200/', 'The link leads to a metadata address'],
    ['https://168.63.129.16/', 'The link leads to a metadata address'],
    ['https://[fd00:ec2::254]/', 'The link leads to a metadata address'],
    ['https://[::ffff:168.63.129.16]/', 'The link leads to a metadata address'],
  ])('then %s is rejected with: %s', (link, message) => {
    expect(() => checkUrl(link, policy, 'redirect')).toThrow(message)
  })

  test('then Exotel’s bucket at S3 is allowed without credentials, and other buckets are not allowed', () => {
    for (const place of [
      's3-ap-southeast-1.amazonaws.com/exotelrecordings',
      's3.amazonaws.com/exotelrecordings',
      'exotelrecordings.s3.amazonaws.com',
      'exotelrecordings.s3.ap-south-1.amazonaws.com',
    ]) {
      expect(checkUrl(`https://${place}/acc/1.mp3`, policy, 'named')).toMatchObject({ isExotelHost: false })
    }
    for (const place of [
      's3-ap-southeast-1.amazonaws.com/evil',
      's3.amazonaws.com/exotelrecordings2',
      'evil.s3.amazonaws.com/exotelrecordings',
      'exotelrecordings.s3.evil.com',
      's3.evil.com/exotelrecordings',
    ]) {
      expect(() => checkUrl(`https://${place}/acc/1.mp3`, policy, 'named')).toThrow(HostNotAllowed)
    }
  })

  test.each(['https://recordings.exotel.com.evil.test/', 'https://exotel.com/', 'https://evilexotel.com/', 'https://example.org/1.mp3'])(
    'then %s is allowed only by redirect',
    (link) => {
      expect(() => checkUrl(link, policy, 'named')).toThrow(HostNotAllowed)
      expect(checkUrl(link, policy, 'redirect')).toMatchObject({ isExotelHost: false })
    },
  )

  test.each([
    'http://recordings.exotel.com/1.mp3',
    'https://recordings.exotel.com@127.0.0.1/',
    'https://user:pw@recordings.exotel.com/',
    'https://2130706433/',
    'https://[::1]/',
    'https://[::ffff:127.0.0.1]/',
    'https://[::ffff:7f00:1]/',
    'https://[64:ff9b::7f00:1]/',
    'https://[::169.254.169.254]/',
    'https://[::127.0.0.1]/',
    'https://[::7f00:1]/',
    'https://[::8.8.8.8]/',
    'https://[::ffff:0:7f00:1]/',
    'https://[64:ff9b::a00:1]/',
    'https://[64:ff9b:1::a00:1]/',
    'https://[2002:7f00:1::]/',
    'https://[2001:0:4136:e378:8000:63bf:80ff:fffe]/',
    'https://[2001:db8::1]/',
    'https://[2001:2::1]/',
    'https://[3fff::1]/',
    'https://[5f00::1]/',
    'https://[100:0:0:1::1]/',
    'https://[::]/',
    'https://[fec0::1]/',
    'https://[ff02::1]/',
    'https://[4000::1]/',
    'https://192.0.2.1/',
    'https://198.18.0.1/',
    'https://198.51.100.1/',
    'https://203.0.113.1/',
    'https://224.0.0.1/',
    'https://240.0.0.1/',
    'https://255.255.255.255/',
    'https://0177.0.0.1/',
    'https://127.1/',
    'https://10.0.0.1/',
    'https://192.168.1.1/',
    'https://100.64.0.1/',
    'https://169.254.169.254/latest/meta-data/',
    'https://0.0.0.0/',
    'https://0x7f.1/',
    'ftp://recordings.exotel.com/',
    'refused:abc',
    'nonsense',
  ])('then %s is rejected, as a link and by redirect', (link) => {
    expect(() => checkUrl(link, policy, 'named')).toThrow(UrlRefused)
    expect(() => checkUrl(link, policy, 'redirect')).toThrow(UrlRefused)
  })

  test.each(['https://8.8.8.8/', 'https://[2606:4700::1111]/', 'https://[2a00:1450:4001:81b::200e]/', 'https://[::ffff:8.8.8.8]/'])(
    'then %s is public, so it is allowed by redirect',
    (link) => {
      expect(checkUrl(link, policy, 'redirect')).toMatchObject({ isExotelHost: false })
    },
  )

  test('then the address of an interface, fe80::1%eth0, is rejected after a lookup', () => {
    expect(() => checkAddress('fe80::1%eth0', policy)).toThrow(UrlRefused)
  })

  test.each(['::127.0.0.1', '::7f00:1', '64:ff9b::7f00:1', '2002:7f00:1::1', '::169.254.169.254'])(
    'then %s, which contains an IPv4 address, is rejected in development as well',
    (address) => {
      expect(() => checkAddress(address, development)).toThrow(UrlRefused)
    },
  )

  test('then local addresses are allowed in development, and metadata services are not', () => {
    expect(checkUrl('http://127.0.0.1:4010/1.mp3', development, 'named')).toMatchObject({ isExotelHost: true })
    for (const link of ['https://10.0.0.1/', 'http://192.168.1.1/', 'https://[::1]/', 'http://[fd12::1]/']) {
      expect(checkUrl(link, development, 'redirect')).toMatchObject({ isExotelHost: false })
    }
    expect(() => checkUrl('ftp://127.0.0.1/', development, 'redirect')).toThrow(UrlRefused)
    expect(() => checkUrl('http://169.254.169.254/', development, 'redirect')).toThrow(UrlRefused)
    expect(() => checkAddress('fe80::1', development)).toThrow(UrlRefused)
    expect(() => checkAddress('fd00:ec2::254', development)).toThrow(UrlRefused)
  })
})

test('When a name resolves to a private address, then the lookup fails', async () => {
  const resolveWith = (guard: ReturnType<typeof guardedLookup>) =>
    new Promise((resolve) => {
      guard('localhost', { all: true }, (error, addresses) => resolve(error ?? addresses))
    })
  expect(await resolveWith(guardedLookup(policy))).toBeInstanceOf(DestinationRefused)
  expect(await resolveWith(guardedLookup(development))).toEqual(
    expect.arrayContaining([expect.objectContaining({ address: expect.any(String) })]),
  )
})

describe('When the system’s resolver', () => {
  afterAll(() => void jest.resetModules())

  /** The result of the guarded lookup for this response of the resolver. */
  async function lookUp(answer: Error | { address: string; family: number }[], options: { all?: boolean }, withPolicy: UrlPolicy = policy) {
    jest.resetModules()
    jest.unstable_mockModule('node:dns', () => ({
      lookup: (_name: string, { all }: { all?: boolean }, callback: (...results: unknown[]) => void) => {
        if (answer instanceof Error) return callback(answer)
        return all ? callback(null, answer) : callback(null, answer[0]!.address, answer[0]!.family)
      },
    }))
    const guarded = (await import('../../exotel/url-policy.ts')).guardedLookup(withPolicy)
    return new Promise((resolve) => {
      guarded('name.example', options, (error, ...addresses) => resolve(error ?? addresses))
    })
  }
  const PUBLIC = { address: '8.8.8.8', family: 4 }
  const PUBLIC_IPV6 = { address: '2606:4700::1111', family: 6 }
  const PRIVATE = { address: '10.0.0.1', family: 4 }

  test('returns a public and a private address, then the lookup fails for both', async () => {
    for (const options of [{ all: true }, { all: false }, {}]) {
      for (const answer of [
        [PUBLIC, PRIVATE],
        [PRIVATE, PUBLIC],
        [PUBLIC, PUBLIC_IPV6, PRIVATE],
      ]) {
        expect(await lookUp(answer, options)).toMatchObject({
          message: 'name.example cannot be requested: The link leads to a private address',
        })
      }
    }
  })

  test('returns public addresses, then the socket gets all of them or the first one, depending on its options', async () => {
    expect(await lookUp([PUBLIC_IPV6, PUBLIC], { all: true })).toEqual([[PUBLIC_IPV6, PUBLIC]])
    expect(await lookUp([PUBLIC_IPV6, PUBLIC], {})).toEqual([PUBLIC_IPV6.address, 6])
    expect(await lookUp([], {})).toEqual(['', 0])
  })

  test('fails, then the socket gets its error', async () => {
    const failure = new Error('ENOTFOUND')
    expect(await lookUp(failure, { all: true })).toBe(failure)
  })
})
