import { setTimeout as pause } from 'node:timers/promises'
import type { Supervisor } from '../../dev/supervisor.ts'
import type { InjectedFault } from './plan.ts'
import type { ChaosStack } from './stack.ts'

const SLOW_MS = 400
/** Enough for the headers of a response, but not for its body. */
const BREAK_AFTER_BYTES = 3000

/** Injects the planned faults at their times. The supervisor restarts processes that end. Resolves when all faults have ended. */
export async function injectFaults(plan: InjectedFault[], stack: ChaosStack, supervisor: Supervisor): Promise<void> {
  const startedAt = performance.now()
  await Promise.all(
    plan.map(async (injectedFault) => {
      await pause(Math.max(0, injectedFault.atMs - (performance.now() - startedAt)))
      start(injectedFault, stack, supervisor)
      await pause(injectedFault.forMs)
      end(injectedFault, stack, supervisor)
    }),
  )
}

function start(injectedFault: InjectedFault, { lines, simulator }: ChaosStack, supervisor: Supervisor): void {
  switch (injectedFault.what) {
    case 'kill':
      // SIGQUIT is PostgreSQL's immediate shutdown. With SIGKILL, the child processes of the postmaster would continue.
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
      return lines[injectedFault.target].restore()
    case 'refuse':
      return simulator.outage(0)
    default:
  }
}
