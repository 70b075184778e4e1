import { setTimeout as pause } from 'node:timers/promises'
import type { Supervisor } from '../../dev/supervisor.ts'
import type { InjectedFault } from './plan.ts'
import type { ChaosStack } from './stack.ts'

const SLOW_MS = 400
/** Enough for the head of an answer, and not for its body. */
const BREAK_AFTER_BYTES = 3000

/** Does what the plan says when it says it; whatever dies is started again by its supervisor. Resolves when all is mended. */
export async function injectFaults(plan: InjectedFault[], stack: ChaosStack, supervisor: Supervisor): Promise<void> {
  const began = performance.now()
  await Promise.all(
    plan.map(async (injectedFault) => {
      await pause(Math.max(0, injectedFault.atMs - (performance.now() - began)))
      begin(injectedFault, stack, supervisor)
      await pause(injectedFault.forMs)
      end(injectedFault, stack, supervisor)
    }),
  )
}

function begin(injectedFault: InjectedFault, { lines, simulator }: ChaosStack, supervisor: Supervisor): void {
  switch (injectedFault.what) {
    case 'kill':
      // PostgreSQL's own way to die at once: a killed postmaster would leave its children behind.
      return supervisor.signal(injectedFault.target, injectedFault.target === 'postgres' ? 'SIGQUIT' : 'SIGKILL')
    case 'restart':
      return supervisor.signal(injectedFault.target, injectedFault.target === 'postgres' ? 'SIGINT' : 'SIGTERM')
    case 'pause':
      return supervisor.signal(injectedFault.target, 'SIGSTOP')
    case 'cut':
      return lines[injectedFault.target].cut()
    case 'stall':
      return lines[injectedFault.target].stall()
    case 'slow':
      return lines[injectedFault.target].slow(SLOW_MS)
    case 'break':
      return lines[injectedFault.target].breakAfter(BREAK_AFTER_BYTES)
    case 'refuse':
      return simulator.outage(injectedFault.status)
  }
}

function end(injectedFault: InjectedFault, { lines, simulator }: ChaosStack, supervisor: Supervisor): void {
  switch (injectedFault.what) {
    case 'pause':
      return supervisor.signal(injectedFault.target, 'SIGCONT')
    case 'cut':
    case 'stall':
    case 'slow':
    case 'break':
      return lines[injectedFault.target].mend()
    case 'refuse':
      return simulator.outage(0)
    default:
  }
}
