// Arithmetic for results.

/** @param share 0.5 for the median, 0.99 for p99 */
export function percentile(values: number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

function median(values: number[]): number {
  return percentile(values, 0.5)
}

/** Three significant digits: runs differ by more than that. */
export function rounded(value: number): number {
  return Number(value.toPrecision(3))
}

export type Result = { [name: string]: number | Result }

/** The median of each figure over several results of the same shape. */
export function medianOf(results: Result[]): Result {
  const names = Object.keys(results[0] ?? {})
  return Object.fromEntries(
    names.map((name) => {
      const values = results.map((result) => result[name])
      const isNested = typeof values[0] === 'object'
      return [name, isNested ? medianOf(values as Result[]) : rounded(median(values as number[]))]
    }),
  )
}
