import { GodwitError } from '#base'

export type SuperviseErrorCode = keyof typeof SuperviseError.catalogue

/** What running a process under supervision can end in. */
export class SuperviseError extends GodwitError<SuperviseErrorCode> {
  static override readonly catalogue = {
    /** It ended more often than its policy allows, or its policy allows no restart. */
    'supervise.gave_up': { status: 503 },
    /** It was asked to stop while somebody waited for it to be ready. */
    'supervise.stopped': { status: 503 },
  } as const
}
