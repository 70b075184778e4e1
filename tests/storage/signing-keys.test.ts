import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { rotateSigningKeys } from '../../accounts/clean-up.ts'
import { createInvitation } from '../../accounts/registration.ts'
import { addSigningKey, createSigningKeys, forgetOtherSigningKeys, readSigned } from '../../accounts/signing-keys.ts'
import type { Database } from '../../platform/database.ts'
import { accountRows } from '../support/account-rows.ts'
import { eventually } from '../support/eventually.ts'
import { openDatabase, type OpenDatabase } from '../support/servers.ts'

let opened: OpenDatabase
let sql: pg.Client
beforeAll(async () => {
  opened = await openDatabase()
  sql = new pg.Client({ connectionString: opened.url })
  await sql.connect()
})
afterAll(async () => {
  await sql?.end()
  await opened?.close()
})

const { clear, count } = accountRows(() => sql)
beforeEach(clear)

describe('Signing keys', () => {
  /** The ids of the keys, the newest first. */
  const kids = async (): Promise<string[]> =>
    (await sql.query<{ kid: string }>('SELECT kid FROM signing_keys ORDER BY created_at DESC')).rows.map(({ kid }) => kid)

  test('When two processes start at the same time, then both know all keys', async () => {
    const [one, other] = [createSigningKeys(opened.database), createSigningKeys(opened.database)]
    const [keys] = await Promise.all([one.all(), other.all()])
    // A process that has just read the keys reads them again after a second.
    for (const { kid } of keys) await eventually('the other one to know the key', async () => (await other.find(kid))?.kid === kid)
  })

  test('When the keys could not be read once, then the next request reads them again', async () => {
    const kid = await addSigningKey(opened.database)
    let readings = 0
    const failingOnce = {
      findMany: (...query: Parameters<typeof opened.database.signingKey.findMany>) =>
        (readings += 1) === 1 ? Promise.reject(new Error('The connection is closed')) : opened.database.signingKey.findMany(...query),
    }
    const keys = createSigningKeys({ signingKey: failingOnce } as unknown as Database)
    await expect(keys.all()).rejects.toThrow('The connection is closed')
    expect((await keys.all()).map((key) => key.kid)).toEqual([kid])
  })

  test('When a month has passed, then there is a new key, and the old one is deleted when no session can need it', async () => {
    await rotateSigningKeys(opened.database, 30)
    expect(await count('signing_keys')).toBe(0) // without a login no key is created
    const old = await addSigningKey(opened.database)
    await rotateSigningKeys(opened.database, 30)
    expect(await count('signing_keys')).toBe(1)
    await sql.query(`UPDATE signing_keys SET created_at = now() - interval '31 days'`)
    await rotateSigningKeys(opened.database, 30)
    await rotateSigningKeys(opened.database, 30)
    const keys = createSigningKeys(opened.database)
    const [fresh] = (await keys.all()).map(({ kid }) => kid)
    expect((await keys.all()).map(({ kid }) => kid)).toEqual([expect.not.stringMatching(old), old])
    await sql.query(`UPDATE signing_keys SET created_at = now() - interval '62 days' WHERE kid = $1`, [old])
    expect(await rotateSigningKeys(opened.database, 30)).toBe(0) // the key was just replaced
    await sql.query(`UPDATE signing_keys SET created_at = now() - interval '28 days 12 hours' WHERE kid = $1`, [fresh])
    expect(await rotateSigningKeys(opened.database, 28)).toBe(0)
    expect(await rotateSigningKeys(opened.database, 27)).toBe(1)
    expect(await kids()).toEqual([fresh])
  })

  test('When sessions last a day, then a key stays until an invitation that it signed on its last day has expired', async () => {
    const old = await addSigningKey(opened.database)
    await sql.query(`UPDATE signing_keys SET created_at = now() - interval '40 days'`)
    const keys = createSigningKeys(opened.database)
    const invitation = await createInvitation({ keys }, 'guest@example.com')
    await rotateSigningKeys(opened.database, 1)
    await sql.query(`UPDATE signing_keys SET created_at = created_at - interval '6 days'`)
    await rotateSigningKeys(opened.database, 1)
    const options = { subject: 'guest@example.com' }
    expect(await readSigned(createSigningKeys(opened.database), 'invitationKey', invitation, options)).toBeDefined()
    await sql.query(`UPDATE signing_keys SET created_at = created_at - interval '3 days'`)
    expect(await rotateSigningKeys(opened.database, 1)).toBe(1)
    expect(await kids()).not.toContain(old)
  })

  test('When clean-up has not run for 100 days, then the key in use stays', async () => {
    const inUse = await addSigningKey(opened.database)
    await sql.query(`UPDATE signing_keys SET created_at = now() - interval '100 days'`)
    expect(await rotateSigningKeys(opened.database, 30)).toBe(0)
    expect(await kids()).toContain(inUse)
    expect(await kids()).toHaveLength(2)
  })

  test('When a key was made while the clock was a year ahead, then it is replaced after a month and deleted like the others', async () => {
    const key = await addSigningKey(opened.database)
    await sql.query(`UPDATE signing_keys SET created_at = now() + interval '1 year'`)
    const { rows: before } = await sql.query('SELECT kid, secret FROM signing_keys')
    await rotateSigningKeys(opened.database, 30)
    expect((await sql.query('SELECT kid, secret FROM signing_keys')).rows).toEqual(before)
    await sql.query(`UPDATE signing_keys SET created_at = created_at - interval '31 days'`)
    await rotateSigningKeys(opened.database, 30)
    expect(await kids()).toEqual([expect.not.stringMatching(key), key])
    await sql.query(`UPDATE signing_keys SET created_at = created_at - interval '32 days'`)
    await rotateSigningKeys(opened.database, 30)
    expect(await kids()).not.toContain(key)
  })

  test('When a key is replaced immediately, then the others are deleted', async () => {
    await addSigningKey(opened.database)
    const fresh = await addSigningKey(opened.database)
    await forgetOtherSigningKeys(opened.database, fresh)
    expect((await createSigningKeys(opened.database).all()).map(({ kid }) => kid)).toEqual([fresh])
  })
})
