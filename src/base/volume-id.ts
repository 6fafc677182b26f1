import { BaseError } from './base-error.ts'
import type { Random } from './random.ts'

declare const brand: unique symbol

/** Names a volume: `vol_` and 16 digits or lower-case letters. */
export type VolumeId = string & { readonly [brand]: 'VolumeId' }

const SUFFIX_CHARS = 16
const ALPHABET = '0123456789abcdefghijklmnopqrstuvwxyz'

export function newVolumeId(random: Random): VolumeId {
  const chars = Array.from({ length: SUFFIX_CHARS }, () => ALPHABET[random.int(ALPHABET.length)])
  return `vol_${chars.join('')}` as VolumeId
}

export const isVolumeId = (text: string): text is VolumeId => /^vol_[0-9a-z]{16}$/.test(text)

/** @throws BaseError base.id_bad */
export function parseVolumeId(text: string): VolumeId {
  if (isVolumeId(text)) return text
  throw new BaseError('base.id_bad', {
    what: 'not a volume id',
    values: { id: text },
    fix: 'a volume id is vol_ and 16 digits or lower-case letters, like vol_2n0l3vl60qpv635d',
  })
}
