import { condition } from '@temporalio/workflow'

/** A call with many recordings must not take more than its share of the workers. */
const TRANSFERS_AT_ONCE = 4

export interface TransferSlots {
  /** Runs the work once fewer than four others run. */
  hold<T>(work: () => Promise<T>): Promise<T>
  /** No transfer is in progress. */
  areFree(): boolean
}

export function openTransferSlots(): TransferSlots {
  let taken = 0
  const isFree = (): boolean => taken < TRANSFERS_AT_ONCE
  return {
    areFree: () => taken === 0,
    async hold(work) {
      while (!isFree()) await condition(isFree)
      taken += 1
      try {
        return await work()
      } finally {
        taken -= 1
      }
    },
  }
}
