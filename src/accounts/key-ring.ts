import type { Random } from '#base'
import { readRing, type SealRefusals, SealRing } from '#seal'
import { AccountsError } from './errors.ts'

/**
 * The keys that everything secret in the database is sealed with. The ring is a file of its own, on
 * no replica and in no backup of the database. A seal's context names table, row and column.
 */
export class KeyRing extends SealRing {
  /** @param file where the text stands, if it is to be followed. @throws AccountsError accounts.key_file_bad */
  constructor(text: string, random: Random, file?: string) {
    super(text, random, refusals, file)
  }
}

/** Follows the file. @throws AccountsError accounts.key_file_bad: also when others than its owner may read it. */
export const readKeyRing = (path: string, random: Random): KeyRing =>
  new KeyRing(readRing(path, refusals, 'make one with: godwit accounts init'), random, path)

const refusals: SealRefusals = {
  badRing: (what, values, fix) =>
    new AccountsError('accounts.key_file_bad', {
      what,
      values,
      ...(fix === undefined ? {} : { fix }),
    }),
  keyMissing: (key, context) =>
    new AccountsError('accounts.sealing_key_missing', {
      what: 'a value is sealed with a key that is not in the key ring',
      values: { key, context },
      fix: 'put the line of that key back into the key ring',
    }),
  tampered: (context, cause) =>
    new AccountsError('accounts.tampered', {
      what: 'a sealed value was changed outside of this program',
      values: { context },
      fix: 'restore the database from a backup, and find out who wrote to it',
      ...(cause === undefined ? {} : { cause }),
    }),
}
