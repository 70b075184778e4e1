import type { PutObjectCommand, UploadPartCommand } from '@aws-sdk/client-s3'

/**
 * Puts the SHA-256 of the body into the signed header `x-amz-content-sha256`. Every store that supports Signature V4 compares it
 * with the received bytes. The SDK sends streams unsigned because it does not know their hash.
 * @param sha256 hex
 */
export function signContent<Command extends PutObjectCommand | UploadPartCommand>(command: Command, sha256: string): Command {
  // The middleware stacks of both commands accept this middleware, but TypeScript accepts none for their union.
  const stack = command.middlewareStack as PutObjectCommand['middlewareStack']
  stack.add(
    (next) => async (args) => {
      const { headers } = args.request as { headers: Record<string, string> }
      headers['x-amz-content-sha256'] = sha256
      return next(args)
    },
    { step: 'build', name: 'signContent' },
  )
  return command
}
