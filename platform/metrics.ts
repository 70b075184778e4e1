import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client'

export const registry = new Registry()

/** Registers Node's own metrics (heap, event loop, handles). To be called once per process. */
export function collectProcessMetrics(): void {
  collectDefaultMetrics({ register: registry })
}

/** Label values must come from a bounded set, such as route patterns, codes and states. CallSids and phone numbers are not allowed. */
export function counter<Label extends string>(name: string, help: string, labelNames: Label[]): Counter<Label> {
  return new Counter({ name: `caly_${name}`, help, labelNames, registers: [registry] })
}

export function gauge<Label extends string>(name: string, help: string, labelNames: Label[] = []): Gauge<Label> {
  return new Gauge({ name: `caly_${name}`, help, labelNames, registers: [registry] })
}
