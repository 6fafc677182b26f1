import { GodwitError } from '#base'

/** Between us and QEMU's machine protocol; the runtime turns them into what a guest can end in. */
export class QmpError extends GodwitError<keyof typeof QmpError.catalogue> {
  static override readonly catalogue = {
    /** QEMU went, or broke the protocol. */
    'guest.qmp_lost': { status: 500 },
    /** QEMU answered with an error. */
    'guest.qmp_refused': { status: 500 },
  } as const
}
