import type { Clock } from './clock.ts'

/** A clock whose timers ring when the test says so, all at once. */
export function handClock() {
  const timers = new Set<() => void>()
  const clock: Clock = {
    nowMs: () => 0,
    monotonicMs: () => 0,
    setTimer(callback) {
      timers.add(callback)
      return { [Symbol.dispose]: () => timers.delete(callback) }
    },
    sleep: async () => undefined,
  }
  const pass = () => {
    for (const callback of [...timers]) {
      timers.delete(callback)
      callback()
    }
  }
  return { clock, pass, timers }
}
