// Stops servers and removes folders when the process that started them has ended, even by SIGKILL: its end of our stdin is then
// closed. Each input line is {"pid": n, "signal": "SIGINT"}, {"gone": n} or {"folder": "path"}.
import { rmSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'

const GRACE_MS = 8000

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {}) // Ctrl-C may also reach this process, which must continue
const signals = new Map()
const folders = []
for await (const line of createInterface({ input: process.stdin })) {
  const { pid, signal, gone, folder } = JSON.parse(line)
  if (pid) signals.set(pid, signal)
  if (gone) signals.delete(gone)
  if (folder) folders.push(folder)
}

const send = (pid, signal) => {
  try {
    return process.kill(pid, signal)
  } catch {
    return false // the process has ended
  }
}
for (const [pid, signal] of signals) send(pid, signal)
const alive = () => [...signals.keys()].some((pid) => send(pid, 0))
for (let waited = 0; waited < GRACE_MS && alive(); waited += 50) await pause(50)
for (const pid of signals.keys()) send(pid, 'SIGKILL')
for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
