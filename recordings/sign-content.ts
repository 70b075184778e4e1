import type { PutObjectCommand, UploadPartCommand } from '@aws-sdk/client-s3'

/**
 * Puts the body's SHA-256 into the signed header `x-amz-content-sha256`, which every store that speaks Signature V4 compares
 * with what arrives. The SDK leaves streams unsigned, since it does not know their hash; we do.
 * @param sha256 hex
 */
export function signContent<Command extends PutObjectCommand | UploadPartCommand>(command: Command, sha256: string): Command {
  // Both commands' stacks take any middleware; their union takes none in TypeScript's eyes.
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
