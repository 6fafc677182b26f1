import { BaseError } from './base-error.ts'
import type { Random } from './random.ts'

declare const brand: unique symbol

/** Names a machine for life: 14 lower-case hex digits. */
export type MachineId = string & { readonly [brand]: 'MachineId' }

const MACHINE_ID_BYTES = 7

export function newMachineId(random: Random): MachineId {
  return Buffer.from(random.bytes(MACHINE_ID_BYTES)).toString('hex') as MachineId
}

export const isMachineId = (text: string): text is MachineId => /^[0-9a-f]{14}$/.test(text)

/** @throws BaseError base.id_bad */
export function parseMachineId(text: string): MachineId {
  if (isMachineId(text)) return text
  throw new BaseError('base.id_bad', {
    what: 'not a machine id',
    values: { id: text },
    fix: 'a machine id is 14 lower-case hex digits, like 148ed599c14189',
  })
}
