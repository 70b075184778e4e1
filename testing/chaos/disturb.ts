import { setTimeout as pause } from 'node:timers/promises'
import type { Keeper } from '../../dev/keeper.ts'
import type { Disturbance } from './plan.ts'
import type { ChaosStack } from './stack.ts'

const SLOW_MS = 400
/** Enough for the head of an answer, and not for its body. */
const BREAK_AFTER_BYTES = 3000

/** Does what the plan says when it says it; whatever dies is started again by its keeper. Resolves when all is mended. */
export async function disturb(plan: Disturbance[], stack: ChaosStack, keeper: Keeper): Promise<void> {
  const began = performance.now()
  await Promise.all(
    plan.map(async (disturbance) => {
      await pause(Math.max(0, disturbance.atMs - (performance.now() - began)))
      begin(disturbance, stack, keeper)
      await pause(disturbance.forMs)
      end(disturbance, stack, keeper)
    }),
  )
}

function begin(disturbance: Disturbance, { lines, simulator }: ChaosStack, keeper: Keeper): void {
  switch (disturbance.what) {
    case 'kill':
      // PostgreSQL's own way to die at once: a killed postmaster would leave its children behind.
      return keeper.signal(disturbance.target, disturbance.target === 'postgres' ? 'SIGQUIT' : 'SIGKILL')
    case 'restart':
      return keeper.signal(disturbance.target, disturbance.target === 'postgres' ? 'SIGINT' : 'SIGTERM')
    case 'pause':
      return keeper.signal(disturbance.target, 'SIGSTOP')
    case 'cut':
      return lines[disturbance.target].cut()
    case 'stall':
      return lines[disturbance.target].stall()
    case 'slow':
      return lines[disturbance.target].slow(SLOW_MS)
    case 'break':
      return lines[disturbance.target].breakAfter(BREAK_AFTER_BYTES)
    case 'refuse':
      return simulator.outage(disturbance.status)
  }
}

function end(disturbance: Disturbance, { lines, simulator }: ChaosStack, keeper: Keeper): void {
  switch (disturbance.what) {
    case 'pause':
      return keeper.signal(disturbance.target, 'SIGCONT')
    case 'cut':
    case 'stall':
    case 'slow':
    case 'break':
      return lines[disturbance.target].mend()
    case 'refuse':
      return simulator.outage(0)
    default:
  }
}
