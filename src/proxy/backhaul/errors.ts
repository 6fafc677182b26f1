import { GodwitError } from '#base'

export type BackhaulErrorCode = keyof typeof BackhaulError.catalogue

/** What the backhaul throws. Bytes from a peer cause only backhaul.malformed, which ends the link. */
export class BackhaulError extends GodwitError<BackhaulErrorCode> {
  static override readonly catalogue = {
    /** Bytes that are no frame, or a frame that the protocol forbids here. */
    'backhaul.malformed': { status: 502 },
  } as const
}
