// A proxy for the S3 server that lists only a few objects per page. S3 permits this: a page may have fewer keys than requested, and
// only IsTruncated says whether another page follows. All other requests are forwarded unchanged.
import { ListObjectsV2Command, S3Client, S3ServiceException, type ListObjectsV2CommandOutput } from '@aws-sdk/client-s3'
import { createServer, request as send, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { S3Access } from '../../dev/s3-server.ts'

export interface ShortPages {
  /** host:port */
  address: string
  close(): Promise<void>
}

/** The length of a page is part of a request's signature, so the proxy makes its own list requests, with its own keys. */
export async function startShortPages({ endpoint, region, ...credentials }: S3Access, keysInPage: number): Promise<ShortPages> {
  const target = new URL(endpoint)
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true })
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', endpoint)
    if (request.method === 'GET' && searchParams.get('list-type') === '2') void list(pathname.split('/')[1]!, searchParams, response)
    else forward(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        client.destroy()
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }

  async function list(Bucket: string, query: URLSearchParams, response: ServerResponse): Promise<void> {
    const text = (name: string): string | undefined => query.get(name) ?? undefined
    try {
      const page = await client.send(
        new ListObjectsV2Command({
          Bucket,
          MaxKeys: Math.min(Number(query.get('max-keys') ?? 1000), keysInPage),
          Prefix: text('prefix'),
          StartAfter: text('start-after'),
          ContinuationToken: text('continuation-token'),
        }),
      )
      response.writeHead(200, { 'content-type': 'application/xml' }).end(pageXml(Bucket, page))
    } catch (error) {
      if (!(error instanceof S3ServiceException)) return void response.destroy()
      const status = error.$metadata.httpStatusCode ?? 500
      response.writeHead(status, { 'content-type': 'application/xml' }).end(`<Error>${element('Code', error.name)}</Error>`)
    }
  }

  /** Forwards the request with its original Host header, which is part of the signature. */
  function forward(request: IncomingMessage, response: ServerResponse): void {
    const { method, url: path, headers } = request
    const onward = send({ host: target.hostname, port: target.port, method, path, headers }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers)
      answer.on('error', () => response.destroy()).pipe(response)
    })
    onward.on('error', () => response.destroy())
    response.on('close', () => onward.destroy())
    request.pipe(onward)
  }
}

function pageXml(bucket: string, { Contents = [], IsTruncated = false, NextContinuationToken }: ListObjectsV2CommandOutput): string {
  const contents = Contents.map(
    ({ Key, Size, ETag, LastModified }) =>
      `<Contents>${element('Key', Key)}${element('LastModified', LastModified?.toISOString())}${element('ETag', ETag)}${element('Size', Size)}</Contents>`,
  )
  const head = [element('Name', bucket), element('KeyCount', Contents.length), element('IsTruncated', IsTruncated)]
  return `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult>${head.join('')}${element('NextContinuationToken', NextContinuationToken)}${contents.join('')}</ListBucketResult>`
}

function element(name: string, value: string | number | boolean | undefined): string {
  if (value === undefined) return ''
  return `<${name}>${String(value).replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</${name}>`
}
