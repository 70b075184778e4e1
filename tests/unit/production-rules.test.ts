import { createHash } from 'node:crypto'
import { expect, test } from '@jest/globals'
import { readConfig } from '../../platform/config.ts'
import { describeOldNode, requireSupportedNode } from '../../platform/node-version.ts'
import { CannotStart } from '../../platform/process.ts'
import { PRODUCTION_RULES } from '../../platform/production-rules.ts'
import { PRODUCTION, randomLooking } from '../support/production.ts'

const SOUND: NodeJS.ProcessEnv = {
  ...PRODUCTION,
  DATABASE_URL: `postgresql://caly:${randomLooking('database')}@db.internal:5432/caly`,
  WASABI_BUCKET: 'recordings',
}
/** Built here so that secret scanners do not report a credential. */
const database = (user: string, password: string): string => `postgresql://${[user, password].join(':')}@db.internal/caly`
const smtp = (scheme: string, password: string, rest = ''): string => `${scheme}://${['user', password].join(':')}@mail.example.com${rest}`
const LONG_NAME = randomLooking('user')
const MAIL_PASSWORD = randomLooking('mail', 14)
const PUBLIC_URL = 'https://calls.example.com'

/** Hosts below which anybody can get a name, hosts that resolve to any address, and names that do not exist on the internet. */
const SHARED_HOSTS = `s3.wasabisys.com s3.eu-central-1.wasabisys.com s3-ap-southeast-1.amazonaws.com s3.us-west-000.backblazeb2.com
  f001.backblazeb2.com storage.googleapis.com s3.fr-par.scw.cloud
  *.wasabisys.com *.s3.ap-southeast-1.wasabisys.com *.storage.googleapis.com *.nip.io 10.0.0.1.nip.io *.sslip.io
  *.recordings.s3.amazonaws.com *.execute-api.ap-south-1.amazonaws.com *.cloudfront.net *.core.windows.net *.aliyuncs.com *.github.io
  *.ngrok.io *.appdomain.cloud *.myhuaweicloud.com *.bcebos.com *.volces.com *.on.aws *.azurecontainerapps.io *.b-cdn.net *.cdn77.org
  *.contabostorage.com *.tebi.io *.loca.lt *.traefik.me 10.0.0.1.traefik.me *.glitch.me *.sharepoint.com *.dropboxusercontent.com
  *.cloudinary.com foo.internal *.foo.internal *.corp.example *.acme.com *.notexotel.com *.exotel.com.acme.in *.exotel.co
  S3.AMAZONAWS.COM:443`
  .trim()
  .split(/\s+/)
/** The first `count` networks of this size. All of them together contain every IPv4 address. */
function halves(bits: number, count = 2 ** bits): string[] {
  return Array.from({ length: count }, (_, index) => {
    const first = index * 2 ** (32 - bits)
    return `${[24, 16, 8, 0].map((shift) => Math.floor(first / 2 ** shift) % 256).join('.')}/${bits}`
  })
}

/** Short secrets, and long ones that every guessing program tries. */
const GUESSABLE = ['x', 'fifteen-letters', '0101010101010101', '1234567890123456', 'qwertyuiopasdfgh', 'abcdefghijklmnop'].concat(
  ['0123456789abcdef', 'fedcba9876543210', 'aaaabbbbccccdddd', 'monkeymonkeymonkey', '1q2w3e4r5t6y7u8i', 'iloveyou12345678'],
  ['Summer2026Summer', 'deadbeefdeadbeef'],
)

/** The syntax of a variable in shells and many templates. */
const TEMPLATE = ['$', '{SOME_TOKEN:-none}'].join('')
/** Values of settings if a template was not filled in, a reference was not resolved, or nobody chose a secret. */
const UNSET = ['$NAME_OF_A_VARIABLE', '<exotel-webhook-token>', '<the token>', '{{ exotel_api_token }}', '{{.Values.token}}'].concat(
  ['%SECRET_OF_SOMETHING%', 'process.env.SOME_VALUE', 'vault:kv/acme/calls#hook', 'op://Acme/calls/credential', '[fill-in-later-please]'],
  ['aws:secretsmanager:calls', 'secretRef:acme/calls', 'arn:aws:ssm:ap-south-1:acme', '__EXOTEL_TOKEN__', '@calls.token.value@'],
  ['lookup-EXOTEL_API_TOKEN-4711', 'config.exotel_webhook_secret', 'my-webhook-secret-key', 'caly-webhook-secret', 'calybackendsecret'],
  ['insecure-default-key', 'REPLACE WITH REAL SECRET', 'todo-set-a-secret-here', 'dummy-secret-value-1', 'supersecretwebhooktoken'],
  [
    's3cr3t-w3bh00k-k3y',
    'P@ssw0rdP@ssw0rd',
    'not-a-real-secret-value',
    'test-secret-for-dev-only',
    'fill-in-your-token',
    'enter-token-here-pls',
  ],
  ['generate-a-random-string', 'sample_secret_value', 'ExotelWebhookSecret!', 'webhooks-for-tests-1', '/run/secrets/exotel_api_token'],
  ['projects/1/secrets/webhook/latest', TEMPLATE, `prefix-${TEMPLATE}-suffix`, '#{secrets.exotel}', '$(cat exotel-token)'],
)
/** Generated secrets: hexadecimal, base64 and base64url. */
const RANDOM = Array.from({ length: 10 }, (_, index) => createHash('sha256').update(`random ${index}`).digest()).flatMap((bytes) => [
  bytes.toString('hex', 0, 8),
  encodeURIComponent(bytes.toString('base64', 0, 12)),
  bytes.toString('base64url', 0, 12),
  bytes.toString('base64url'),
])
/** Common words with few other characters. */
const MOSTLY_WORDS = [
  'exotelsecret2024',
  'ExotelWebhook2024!',
  'CompanyName123456',
  'Acme-Webhook-Production-2026',
  'sample-secret-12345',
].concat(['foobarbazquux1234', 'webhooksecret12345', 'exotel-token-9f3c1b', 'sk_test_aaaaaaaaaaaaaaaa'])

/** Parameters that can switch off TLS or the verification of certificates, change the server, or are repeated. */
const MAIL_PARAMETERS = ['tls.rejectUnauthorized=false', 'tls.rejectUnauthorized=no', 'tls.checkServerIdentity=x', 'secure=false'].concat(
  ['requireTLS=true&ignoreTLS=TRUE', 'requireTLS=true&ignoreTLS=1', 'requireTLS=true&requireTLS=true', 'requireTLS=true&requireTLS=false'],
  ['requireTLS=false', 'requireTLS=TRUE', 'host=elsewhere.example', 'port=25', 'auth.user=u&auth.pass=p', 'constructor=x', 'logger=true'],
)

/** Settings that break a rule, and the expected message. */
const BROKEN: [NodeJS.ProcessEnv, RegExp][] = [
  [{ NODE_TLS_REJECT_UNAUTHORIZED: '0' }, /NODE_TLS_REJECT_UNAUTHORIZED must not be 0/],
  ...each('TRUST_PROXY', ['6', '99'], /must not trust more than 5 proxies/),
  ...each(
    'TRUST_PROXY',
    [
      '0.0.0.0/0',
      '::/0',
      '10.0.0.1, 0.0.0.0/1',
      '0.0.0.0/7',
      '10.0.0.0/7',
      '::ffff:0:0/96',
      '::ffff:0.0.0.0/97',
      '::/64',
      '2000::/3',
    ].concat(['2002::/16', '2001::/16', '2a00::/16', '::/96', '2400::/27', '2400::/28,2606:4700::/32', '64:ff9b::/96']),
    /must name your own proxies/,
  ),
  // Each range is narrow enough, but together they contain every address.
  ...each('TRUST_PROXY', [halves(9).join(), halves(24, 70_000).join(), halves(10, 5).join()], /must name your own proxies/),
  ...each(
    'DATABASE_URL',
    [database('caly', 'change-me'), database('postgres', 'postgres'), database('caly', encodeURIComponent(TEMPLATE))],
    /DATABASE_URL is a placeholder/,
  ),
  ...each('DATABASE_URL', [database('calls', 'acme'), database('caly', 'x')], /DATABASE_URL has a secret that is easily guessed/),
  ...each('DATABASE_URL', [database(LONG_NAME, LONG_NAME)], /DATABASE_URL has a password that is its user name/),
  ...each('MIGRATION_DATABASE_URL', [database('owner', 'change-me')], /MIGRATION_DATABASE_URL is a placeholder/),
  ...each('MIGRATION_DATABASE_URL', [database('calls', 'acme')], /MIGRATION_DATABASE_URL has a secret that is easily guessed/),
  ...each('MIGRATION_DATABASE_URL', [database(LONG_NAME, LONG_NAME)], /MIGRATION_DATABASE_URL has a password that is its user name/),
  ...secret('TEMPORAL_API_KEY'),
  ...each('WASABI_ENDPOINT', ['http://s3:7070', 'HTTP://s3.ap-southeast-1.wasabisys.com'], /WASABI_ENDPOINT must be https/),
  ...secret('WASABI_ACCESS_KEY'),
  ...secret('WASABI_SECRET_KEY', ['caly-secret', 'minioadmin']),
  ...each('EXOTEL_WEBHOOK_SECRET', [''], /EXOTEL_WEBHOOK_SECRET is missing: production needs a proof of origin/),
  ...secret('EXOTEL_WEBHOOK_SECRET', [`${randomLooking('webhook')}, change-me`]),
  ...each('EXOTEL_WEBHOOK_SECRET', [`${randomLooking('webhook')}, b`], /EXOTEL_WEBHOOK_SECRET has a secret that is easily guessed/),
  ...each(
    'EXOTEL_WEBHOOK_BASIC',
    ['user:change-me', 'user:password', 'exotel:$EXOTEL_WEBHOOK_PASSWORD'],
    /EXOTEL_WEBHOOK_BASIC is a placeholder/,
  ),
  ...each('EXOTEL_WEBHOOK_BASIC', ['u:p', 'a-long-user-name-for-tests:p'], /EXOTEL_WEBHOOK_BASIC has a secret that is easily guessed/),
  ...secret('EXOTEL_WEBHOOK_TOKEN', UNSET),
  ...each('EXOTEL_WEBHOOK_TOKEN', MOSTLY_WORDS, /EXOTEL_WEBHOOK_TOKEN has a secret that is easily guessed/),
  ...each(
    'EXOTEL_WEBHOOK_ADDRESSES',
    ['0.0.0.0/0', '::/0', '203.0.113.7,::ffff:0:0/96', halves(9).join()],
    /EXOTEL_WEBHOOK_ADDRESSES has ranges so wide/,
  ),
  ...each('EXOTEL_API_BASE_URL', ['http://api.exotel.com'], /EXOTEL_API_BASE_URL must be https/),
  ...each('EXOTEL_ACCOUNT_SID', ['change-me', 'your_account_sid'], /EXOTEL_ACCOUNT_SID is a placeholder/),
  ...secret('EXOTEL_API_KEY'),
  ...secret('EXOTEL_API_TOKEN', ['your-api-token', '<replace me with the token>']),
  ...each(
    'EXOTEL_RECORDING_HOSTS',
    ['*.com', 'com', '*.co.in', '*.exotel.com,*.in', '*.amazonaws.com', 's3.amazonaws.com', 'localhost', '10.0.0.1'].concat(SHARED_HOSTS),
    /EXOTEL_RECORDING_HOSTS must be \*\.exotel\.com, \*\.exotel\.in or full host names/,
  ),
  ...each('EXOTEL_ALLOW_LOCAL', ['true'], /EXOTEL_ALLOW_LOCAL must not be set/),
  ...each('REGISTRATION', ['open'], /REGISTRATION is open but SMTP_URL is missing/),
  ...each('PUBLIC_URL', ['http://calls.example.com'], /PUBLIC_URL must be https/),
  [{ PUBLIC_URL, SMTP_URL: smtp('smtps', 'change-me') }, /SMTP_URL is a placeholder/],
  [{ PUBLIC_URL, SMTP_URL: smtp('smtps', 'p') }, /SMTP_URL has a secret that is easily guessed/],
  ...MAIL_PARAMETERS.map((parameters): [NodeJS.ProcessEnv, RegExp] => [
    { PUBLIC_URL, SMTP_URL: smtp('smtps', MAIL_PASSWORD, `?${parameters}`) },
    /SMTP_URL may only have the parameters/,
  ]),
  [{ PUBLIC_URL, SMTP_URL: 'smtp://mail.example.com?ignoreTLS=true' }, /SMTP_URL may only have the parameters/],
  [{ PUBLIC_URL, SMTP_URL: smtp('smtp', MAIL_PASSWORD, ':587') }, /SMTP_URL sends its password without TLS/],
  ...each('SESSION_DAYS', ['36500'], /SESSION_DAYS must be at most 366/),
  ...['RATE_LIMIT_LOGIN', 'RATE_LIMIT_REGISTRATION', 'RATE_LIMIT_FORGOT', 'RATE_LIMIT_MAILS', 'RATE_LIMIT_FAILURES'].flatMap((name) =>
    each(name, ['100000'], new RegExp(`${name} must be at most 1000`)),
  ),
  ...each('RATE_LIMIT_GENERAL', ['10001', '100000'], /RATE_LIMIT_GENERAL must be at most 10000/),
  ...each('RECORDING_WAIT_SCALE', ['0.01'], /RECORDING_WAIT_SCALE must be 1/),
]

function each(setting: string, values: string[], message: RegExp): [NodeJS.ProcessEnv, RegExp][] {
  return values.map((value) => [{ [setting]: value }, message])
}

function secret(setting: string, placeholders: string[] = []): [NodeJS.ProcessEnv, RegExp][] {
  return [
    ...each(
      setting,
      ['change-me', 'CHANGE_ME', 'my-secret-key', 'example-value-of-a-secret', TEMPLATE, ...placeholders],
      new RegExp(`${setting} is a placeholder`),
    ),
    ...each(setting, GUESSABLE, new RegExp(`${setting} has a secret that is easily guessed`)),
  ]
}

const messageOf = (env: NodeJS.ProcessEnv): string => {
  try {
    readConfig(env)
    return ''
  } catch (error) {
    return (error as Error).message
  }
}

/** Cached, because the estimate of guesses is slow and two tests need the same messages. */
const messages = new Map<NodeJS.ProcessEnv, string>()
const messageOfBroken = (env: NodeJS.ProcessEnv): string => {
  const known = messages.get(env) ?? messageOf({ ...SOUND, ...env })
  messages.set(env, known)
  return known
}

test.each(BROKEN)('When production is started with %j, then the message is %s', (env, message) => {
  const output = messageOfBroken(env)
  expect(output).toMatch(message)
  // The message contains only this rule, once.
  expect(PRODUCTION_RULES.filter((rule) => output.includes(` ${rule.setting} ${rule.message}`))).toHaveLength(1)
})

test('When a rule exists, then the test above breaks it', () => {
  const output = BROKEN.map(([env]) => messageOfBroken(env)).join('\n')
  const untested = PRODUCTION_RULES.map(({ setting, message }) => `${setting} ${message}`).filter((each) => !output.includes(each))
  expect(untested).toEqual([])
})

test('When several settings are refused, then the message names each with its reason and contains no value', () => {
  const output = messageOf({ ...SOUND, EXOTEL_API_TOKEN: 'change-me', DATABASE_URL: database('caly', 'hunter2'), TRUST_PROXY: '::/0' })
  expect(output).toMatch(/TRUST_PROXY .*DATABASE_URL .*EXOTEL_API_TOKEN /)
  expect(output).not.toMatch(/change-me|hunter2|::\/0/)
})

test.each<NodeJS.ProcessEnv>([
  {},
  { EXOTEL_WEBHOOK_SECRET: '', EXOTEL_WEBHOOK_BASIC: `user:${randomLooking('basic', 16)}` },
  { EXOTEL_WEBHOOK_SECRET: '', EXOTEL_WEBHOOK_TOKEN: randomLooking('token', 16) },
  { TRUST_PROXY: '5' },
  {
    TRUST_PROXY:
      'loopback, 10.0.0.0/8, 104.16.0.0/13, fc00::/7, 2400:cb00::/32, 2606:4700::/32, 2a06:98c0::/29, ::1, fe80::/10, ::ffff:10.0.0.0/104',
  },
  { DATABASE_URL: 'postgresql://caly@db.internal/caly', MIGRATION_DATABASE_URL: database('owner', randomLooking('owner', 12)) },
  { DATABASE_URL: 'postgresql://caly@localhost/caly?host=/var/run/postgresql' },
  {
    EXOTEL_RECORDING_HOSTS:
      'recordings.exotel.com, *.exotel.in:8443, *.Mumbai.exotel.in, recordings.acme.co.in, recordings.s3.amazonaws.com, exotel.s3.ap-southeast-1.wasabisys.com',
  },
  {
    EXOTEL_RECORDING_HOSTS:
      'exotelrecordings.s3-ap-southeast-1.amazonaws.com, exotel.storage.googleapis.com, exotel.blr1.digitaloceanspaces.com, cdn.exotel.in',
  },
  { REGISTRATION: 'open', PUBLIC_URL, SMTP_URL: smtp('smtps', MAIL_PASSWORD) },
  { PUBLIC_URL, SMTP_URL: smtp('smtp', MAIL_PASSWORD, ':587?requireTLS=true') },
  { PUBLIC_URL, SMTP_URL: 'smtp://localhost:25' },
  { TRUST_PROXY: halves(24, 2000).slice(1000).join() },
  { EXOTEL_API_TOKEN: '3f9a1c5e7b2d4860af13579bdf02468ace', WASABI_SECRET_KEY: 'q7Zr1nLw0aEdTk5s', EXOTEL_API_KEY: '7304918265501748' },
  { PUBLIC_URL, SMTP_URL: smtp('smtps', 'kfwq-xzp') },
  { PUBLIC_URL, SMTP_URL: smtp('smtps', encodeURIComponent('vqkx ajtn zrhw lpgy')) },
  // A random secret may have words around it, and a secret may consist of several random words.
  { EXOTEL_WEBHOOK_SECRET: `caly-webhook-${randomLooking('prefixed', 16)}`, EXOTEL_API_TOKEN: 'mango turbine velvet orbit' },
  { EXOTEL_ACCOUNT_SID: 'caly1' },
  ...RANDOM.map((value) => ({ EXOTEL_WEBHOOK_SECRET: value, EXOTEL_API_TOKEN: value, DATABASE_URL: database('caly', value) })),
])('When production is started with sound settings and %j, then it starts', (env) => {
  expect(messageOf({ ...SOUND, ...env })).toBe('')
})

test.each(['development', 'test'])('When NODE_ENV is %s, then weak settings are accepted', (NODE_ENV) => {
  for (const [env] of BROKEN) expect(messageOf({ ...SOUND, ...env, NODE_ENV })).toBe('')
})

test('When NODE_ENV is not set, then the process runs in production mode', () => {
  const { NODE_ENV: _, ...unsaid } = SOUND
  expect(readConfig(unsaid)).toMatchObject({ NODE_ENV: 'production', LOG_FILE: '' })
  expect(messageOf({ ...unsaid, EXOTEL_API_TOKEN: 'x' })).toMatch(/EXOTEL_API_TOKEN/)
})

test('When Node is too old, then production refuses to start, development warns once, and tests do neither', () => {
  const warnings: string[] = []
  const start = (NODE_ENV: 'production' | 'development' | 'test', version: string, ALLOW_OLD_NODE = false) =>
    requireSupportedNode({ NODE_ENV, ALLOW_OLD_NODE }, (text) => warnings.push(text), version)
  expect(() => start('production', '20.20.2')).toThrow(CannotStart)
  expect(() => start('production', '20.20.2')).toThrow(/^Node 20\.20\.2 .*production needs Node 22 or later, or ALLOW_OLD_NODE=true$/)
  start('production', '20.20.2', true)
  start('production', '22.0.0')
  start('development', '24.11.0')
  start('test', '20.20.2')
  expect(warnings).toEqual([])
  start('development', '20.20.2')
  expect(warnings).toEqual([describeOldNode('20.20.2')])
})
