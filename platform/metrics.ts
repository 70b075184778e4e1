import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client'

export const registry = new Registry()

/** Node's own figures (heap, event loop, handles); once a process. */
export function collectProcessMetrics(): void {
  collectDefaultMetrics({ register: registry })
}

/** Labels are bounded: route patterns, codes and states, never a call or a number. */
export function counter<Label extends string>(name: string, help: string, labelNames: Label[]): Counter<Label> {
  return new Counter({ name: `caly_${name}`, help, labelNames, registers: [registry] })
}

export function gauge<Label extends string>(name: string, help: string, labelNames: Label[] = []): Gauge<Label> {
  return new Gauge({ name: `caly_${name}`, help, labelNames, registers: [registry] })
}
