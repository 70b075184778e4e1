import type { Config } from './config.ts'
import { CannotStart } from './process.ts'

/** Older versions no longer get security fixes. */
const MIN_MAJOR = 22

/** @returns what is wrong with an old version of Node, or undefined if the version is supported */
export function describeOldNode(version = process.versions.node): string | undefined {
  if (Number(version.split('.')[0]) >= MIN_MAJOR) return undefined
  return `Node ${version} no longer gets security fixes: production needs Node ${MIN_MAJOR} or later`
}

/**
 * @param warn called with the problem in development
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
