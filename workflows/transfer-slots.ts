import { condition } from '@temporalio/workflow'

/** Limits the transfers of one call, so that a call with many recordings does not occupy all workers. */
const TRANSFERS_AT_ONCE = 4

export interface TransferSlots {
  /** Waits for a free slot, then runs the work in it. */
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
