import { GodwitError } from '#base'
import { EffectError } from '../effect-error.ts'

/** Of these a repetition may help, whatever their status says: somebody else is about to let go. */
const passing: ReadonlySet<string> = new Set(['volume.in_use', 'guest.exists', 'guest.ended'])

/**
 * What another part throws, for the engine: a fault of what was asked for never goes away by itself, all
 * else may.
 */
export function asEffectError(error: unknown): unknown {
  if (!(error instanceof GodwitError) || error instanceof EffectError) return error
  const { code, traits, message } = error
  const isFatal = traits.status < 500 && traits.transient !== true && !passing.has(code)
  if (!isFatal || code.startsWith('base.')) return error
  return new EffectError('effect.fatal', { what: message, values: { code }, cause: error })
}

/** Runs an act, its errors as the engine takes them. */
export async function act<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw asEffectError(error)
  }
}

export const fatal = (what: string, values: Record<string, unknown> = {}) =>
  new EffectError('effect.fatal', { what, values })
