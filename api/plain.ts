/** A value as JSON carries it. */
type Plain<T> = T extends Date
  ? string
  : T extends bigint
    ? number
    : T extends readonly (infer Each)[]
      ? Plain<Each>[]
      : T extends object
        ? { [Name in keyof T]: Plain<T[Name]> }
        : T

/** Converts times to ISO 8601 and large integers to numbers, at every level. */
export function plain<T>(value: T): Plain<T> {
  return convert(value) as Plain<T>
}

function convert(value: unknown): unknown {
  if (value instanceof Date) return value.toISOString()
  if (typeof value === 'bigint') return Number(value)
  if (Array.isArray(value)) return value.map(convert)
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, convert(each)]))
  return value
}
