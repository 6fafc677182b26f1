import { GodwitError } from '#base'

export type EffectErrorCode = keyof typeof EffectError.catalogue

/**
 * How an act upon the world failed. `effect.retryable`: the same act may succeed later, without any
 * change (a registry that is down, a device that is busy). `effect.fatal`: it never will (no such image,
 * a configuration that nothing can run). Any other error counts as retryable.
 */
export class EffectError extends GodwitError<EffectErrorCode> {
  static override readonly catalogue = {
    'effect.retryable': { status: 503, transient: true },
    'effect.fatal': { status: 500 },
  } as const
}
