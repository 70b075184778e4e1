import type { Config } from './config.ts'
import { CannotStart } from './process.ts'

/** Older versions get no security fixes any more. */
const MIN_MAJOR = 22

/** A sentence for people who run an older Node; undefined where the version is recent enough. */
export function describeOldNode(version = process.versions.node): string | undefined {
  if (Number(version.split('.')[0]) >= MIN_MAJOR) return undefined
  return `Node ${version} gets no security fixes any more: production needs Node ${MIN_MAJOR} or later`
}

/**
 * @param warn is told in development
 * @throws {CannotStart} in production, unless ALLOW_OLD_NODE is set
 */
export function requireSupportedNode(
  { NODE_ENV, ALLOW_OLD_NODE }: Pick<Config, 'NODE_ENV' | 'ALLOW_OLD_NODE'>,
  warn: (text: string) => void,
  version = process.versions.node,
): void {
  const problem = describeOldNode(version)
  if (problem === undefined || ALLOW_OLD_NODE) return
  if (NODE_ENV === 'production') throw new CannotStart(`${problem}, or ALLOW_OLD_NODE=true`)
  if (NODE_ENV === 'development') warn(problem)
}
