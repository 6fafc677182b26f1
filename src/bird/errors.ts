import { GodwitError } from '#base'

export type BirdErrorCode = keyof typeof BirdError.catalogue

/** What talking to a BIRD daemon can end in. */
export class BirdError extends GodwitError<BirdErrorCode> {
  static override readonly catalogue = {
    /** The control socket is absent, closed or silent: the daemon is down or hung. */
    'bird.unreachable': { status: 503, transient: true },
    /** BIRD understood the command and refused it, or could not carry it out. */
    'bird.refused': { status: 500 },
    /** The reply is not of BIRD's control protocol: something else listens there. */
    'bird.reply_bad': { status: 502 },
  } as const
}
