import { GodwitError } from '#base'

export type GuestErrorCode = keyof typeof GuestError.catalogue

/** What running a guest can end in, whatever the runtime. */
export class GuestError extends GodwitError<GuestErrorCode> {
  static override readonly catalogue = {
    /** A guest of that id is there: adopt, resume or remove it. */
    'guest.exists': { status: 409 },
    /** It never came to the point where init answers. Nothing is left of it. */
    'guest.boot_failed': { status: 500 },
    /** It runs, or there is nothing that could be continued. */
    'guest.not_suspended': { status: 409 },
    /** What was suspended cannot be continued; its disks are as after a power cut. */
    'guest.resume_failed': { status: 500 },
    /** It could not be suspended, and runs on. */
    'guest.suspend_failed': { status: 500 },
    /** The guest ended before or while it was asked. */
    'guest.ended': { status: 409 },
    /** A value in the specification that no runtime takes. */
    'guest.spec_bad': { status: 422 },
    /** Memory that the guest cannot be given. */
    'guest.memory_bad': { status: 400 },
    /** It holds more memory than it was to have, and keeps it. */
    'guest.memory_held': { status: 409 },
    /** This host lacks something that the runtime needs; `godwit doctor` tells what works here. */
    'guest.host_unable': { status: 503 },
  } as const
}
