import { GodwitError } from '#base'

export type MachineErrorCode = keyof typeof MachineError.catalogue

/** What preparing a machine can end in, beside the errors of images, volumes and guests. */
export class MachineError extends GodwitError<MachineErrorCode> {
  static override readonly catalogue = {
    /** A value of the machine's configuration that cannot be. */
    'machine.config_bad': { status: 422 },
  } as const
}

export const configBad = (what: string, values: Record<string, unknown>, fix?: string) =>
  new MachineError('machine.config_bad', { what, values, ...(fix === undefined ? {} : { fix }) })
