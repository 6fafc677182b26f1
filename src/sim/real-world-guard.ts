import { SimFailure } from './failure.ts'

let isForbidden = false
let installed = 0
let uninstall: () => void = () => undefined

/**
 * While `body` runs, the real clock, timers and dice throw: the commonest reasons why a seed does
 * not replay. Covers Date, performance.now, Math.random, the timers, AbortSignal.timeout and
 * crypto's random values; not what a module took from node:crypto or node:timers by name.
 */
export function forbidRealWorld<T>(body: () => T): T {
  const before = isForbidden
  isForbidden = true
  try {
    return body()
  } finally {
    isForbidden = before
  }
}

/** Puts the guards in place; dispose takes them away. Without `forbidRealWorld` they let pass. */
export function installGuards(): Disposable {
  installed += 1
  if (installed === 1) uninstall = replaceGlobals()
  return {
    [Symbol.dispose]() {
      installed -= 1
      if (installed === 0) uninstall()
    },
  }
}

function check(what: string, instead: string): void {
  if (!isForbidden) return
  throw new SimFailure('sim.real_world_used', {
    what: `${what} was called inside the simulation`,
    fix: `use ${instead}, or the seed will not replay`,
  })
}

// biome-ignore format: a table
const guarded: readonly [object: object, name: string, what: string, instead: string][] = [
  [Math, 'random', 'Math.random', 'the Random that was injected'],
  [Date, 'now', 'Date.now', 'the Clock that was injected'],
  [performance, 'now', 'performance.now', 'the Clock that was injected'],
  [globalThis, 'setTimeout', 'setTimeout', 'the Clock that was injected'],
  [globalThis, 'setInterval', 'setInterval', 'the Clock that was injected'],
  [globalThis, 'setImmediate', 'setImmediate', 'the Clock that was injected'],
  [AbortSignal, 'timeout', 'AbortSignal.timeout', 'a timer of the Clock that was injected'],
  [crypto, 'randomUUID', 'crypto.randomUUID', 'the Random that was injected'],
  [crypto, 'getRandomValues', 'crypto.getRandomValues', 'the Random that was injected'],
]

function replaceGlobals(): () => void {
  const restores = guarded.map(([object, name, what, instead]) => {
    const owned = Object.getOwnPropertyDescriptor(object, name)
    const original: (...args: unknown[]) => unknown = Reflect.get(object, name)
    const guard = (...args: unknown[]): unknown => {
      check(what, instead)
      return Reflect.apply(original, object, args)
    }
    Object.defineProperty(object, name, { value: guard, configurable: true, writable: true })
    return () => {
      if (owned === undefined) Reflect.deleteProperty(object, name)
      else Object.defineProperty(object, name, owned)
    }
  })
  const RealDate = Date
  globalThis.Date = new Proxy(RealDate, {
    construct(target, args, self) {
      if (args.length === 0) check('new Date()', 'the Clock that was injected')
      return Reflect.construct(target, args, self)
    },
  })
  restores.push(() => {
    globalThis.Date = RealDate
  })
  return () => {
    for (const restore of restores) restore()
  }
}
