import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { buffer } from 'node:stream/consumers'
import { createRecordingAgents, requestRecording, type RecordingSource } from '../../exotel/recording-request.ts'
import { DestinationRefused, HostNotAllowed } from '../../exotel/url-policy.ts'
import { startScriptedServer, type Answer, type ScriptedServer } from '../support/scripted-server.ts'

const policy = { hosts: ['127.0.0.1'], publicHosts: [], allowLocal: true }
const KEY = `Basic ${Buffer.from('key:token').toString('base64')}`
/** A link-local address, which is never requested. */
const PRIVATE = 'http://169.254.169.254/'

let exotel: ScriptedServer
/** The same server under a name that is not one of Exotel's hosts. */
let foreign: string
let source: RecordingSource
beforeAll(async () => {
  exotel = await startScriptedServer()
  foreign = exotel.url.replace('127.0.0.1', 'localhost')
  source = { policy, credentials: { apiKey: 'key', apiToken: 'token' }, agents: createRecordingAgents(policy) }
})
afterAll(async () => {
  source?.agents.destroy()
  await exotel?.close()
})

const found: Answer = (_request, response) => response.end('audio')
const redirect =
  (location: string, statusCode = 302): Answer =>
  (_request, response) =>
    response.writeHead(statusCode, { location }).end('moved')
const signal = AbortSignal.timeout(60_000)

async function request(
  url: string,
  { kind = 'named' as 'named' | 'presigned', part }: { kind?: 'named' | 'presigned'; part?: { from: number; validator: string } } = {},
): Promise<string> {
  const { body } = await requestRecording({ url, kind }, { part, signal }, source)
  return (await buffer(body)).toString()
}
/** The Authorization header of each request. */
const keys = () => exotel.requests.map(({ headers }) => headers.authorization)

describe('When a recording is requested, then our key is sent', () => {
  test('to one of Exotel’s own hosts, and after a redirect to it', async () => {
    exotel.script(redirect('/b.mp3'), redirect(`${exotel.url}/c.mp3`), found)
    expect(await request(`${exotel.url}/a.mp3`)).toBe('audio')
    expect(keys()).toEqual([KEY, KEY, KEY])
    expect(exotel.requests.map(({ url }) => url)).toEqual(['/a.mp3', '/b.mp3', '/c.mp3'])
  })

  test('to no other host, and not to Exotel’s own host after a redirect from another host', async () => {
    exotel.script(redirect(`${foreign}/b.mp3`), redirect(`${exotel.url}/c.mp3`), found)
    expect(await request(`${exotel.url}/a.mp3`)).toBe('audio')
    expect(keys()).toEqual([KEY, undefined, undefined])
  })

  test.each(['Signature', 'X-Amz-Signature'])('to no link with a %s, which S3 stores reject together with a key', async (name) => {
    exotel.script(found)
    await request(`${exotel.url}/a.mp3?${name}=s`)
    expect(keys()).toEqual([undefined])
    exotel.script(redirect(`/b.mp3?${name}=s`), found)
    await request(`${exotel.url}/a.mp3`)
    expect(keys()).toEqual([KEY, undefined])
  })

  test('to no pre-signed link, whatever its query', async () => {
    exotel.script(redirect('/b.mp3'), found)
    await request(`${exotel.url}/a.mp3?token=t`, { kind: 'presigned' })
    expect(keys()).toEqual([undefined, undefined])
  })
})

test('When the rest of a recording is requested, then the request after a redirect has Range and If-Range', async () => {
  exotel.script(redirect('/b.mp3'), found)
  await request(`${exotel.url}/a.mp3`, { part: { from: 1000, validator: '"v1"' } })
  expect(exotel.requests.at(-1)!.headers).toMatchObject({ range: 'bytes=1000-', 'if-range': '"v1"', 'accept-encoding': 'identity' })
})

describe('When a redirect', () => {
  test('is the sixth, then it is not followed', async () => {
    exotel.script(redirect('/again'))
    await expect(request(`${exotel.url}/a.mp3`)).rejects.toThrow(/more than 5 times/)
    expect(exotel.requests).toHaveLength(6)
    exotel.script(...Array.from({ length: 5 }, () => redirect('/again')), found)
    expect(await request(`${exotel.url}/a.mp3`)).toBe('audio')
  })

  test('leads to an address that is not public, then that address is not requested', async () => {
    exotel.script(redirect(PRIVATE))
    await expect(request(`${exotel.url}/a.mp3`)).rejects.toThrow(DestinationRefused)
  })

  test('leads to something that is not a URL, then the request fails', async () => {
    exotel.script(redirect('http://['))
    await expect(request(`${exotel.url}/a.mp3`)).rejects.toThrow(/not a URL/)
  })

  test.each([300, 399])('has the status %d, then it is followed', async (statusCode) => {
    exotel.script(redirect('/b.mp3', statusCode), found)
    expect(await request(`${exotel.url}/a.mp3`)).toBe('audio')
  })

  test.each([299, 304, 400])('has the status %d, then its location is ignored', async (statusCode) => {
    exotel.script(redirect('/b.mp3', statusCode))
    await request(`${exotel.url}/a.mp3`)
    expect(exotel.requests).toHaveLength(1)
  })
})

test('When the host of a link is not known, then only a pre-signed link is requested', async () => {
  exotel.script(found)
  await expect(request(`${foreign}/a.mp3`)).rejects.toThrow(HostNotAllowed)
  expect(exotel.requests).toEqual([])
  expect(await request(`${foreign}/a.mp3`, { kind: 'presigned' })).toBe('audio')
})
