import { decodeTime, monotonicFactory } from 'ulid'
import { BaseError } from './base-error.ts'
import type { Clock } from './clock.ts'
import type { Random } from './random.ts'

declare const brand: unique symbol

/**
 * 26 characters that sort by the time they were made: instance ids, event ids, request ids.
 * Source: the ULID specification (48 bits of milliseconds, 80 random bits, Crockford's base 32).
 */
export type Ulid = string & { readonly [brand]: 'Ulid' }

/**
 * Makes ULIDs that grow also within one millisecond, and when the wall clock steps back.
 * One generator a process: two generators know nothing of each other.
 */
export function ulidGenerator({ clock, random }: { clock: Clock; random: Random }): () => Ulid {
  const next = monotonicFactory(() => random.next())
  return () => next(clock.nowMs()) as Ulid
}

/** The first digit is at most 7: the timestamp has 48 bits, not 50. */
export const isUlid = (text: string): text is Ulid => /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/.test(text)

/** @throws BaseError base.id_bad */
export function parseUlid(text: string): Ulid {
  if (isUlid(text)) return text
  throw new BaseError('base.id_bad', {
    what: 'not a ULID',
    values: { id: text },
    fix: "a ULID is 26 digits and capitals without I, L, O and U, the first at most '7'",
  })
}

/** When it was made: wall-clock milliseconds since the Unix epoch. */
export const ulidTimeMs = (ulid: Ulid): number => decodeTime(ulid)
