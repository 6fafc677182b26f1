import type { Random } from '#base'
import { badInput } from '../errors.ts'
import { type KeyKind, keyKindOf } from './key-type.ts'

/** What a secret key is to do. */
export type KeyUse =
  | {
      readonly to: 'encrypt'
      readonly plaintext: Uint8Array
      readonly associatedData?: Uint8Array | undefined
    }
  | {
      readonly to: 'decrypt'
      readonly ciphertext: Uint8Array
      readonly associatedData?: Uint8Array | undefined
    }
  | { readonly to: 'sign'; readonly plaintext: Uint8Array }
  | { readonly to: 'verify'; readonly plaintext: Uint8Array; readonly signature: Uint8Array }

const nothing = new Uint8Array()

/**
 * @returns ciphertext, plaintext or signature; nothing for `verify`
 * @throws AccountsError accounts.bad_input: the type cannot do that, or it was not made with this key
 */
export function useKey(
  { type, key }: { readonly type: string; readonly key: Uint8Array },
  use: KeyUse,
  random: Random,
): Uint8Array {
  const kind = keyKindOf(type)
  if ('associatedData' in use && use.associatedData?.length && !kind.takesAssociatedData) {
    throw badInput('keys of this type take no associated data', { type }, 'leave it out')
  }
  switch (use.to) {
    case 'encrypt': {
      const { plaintext, associatedData = nothing } = use
      return able(kind, type, 'encrypt')(key, { plaintext, associatedData }, random)
    }
    case 'decrypt': {
      const { ciphertext, associatedData = nothing } = use
      const decrypt = able(kind, type, 'decrypt')
      try {
        return decrypt(key, { ciphertext, associatedData })
      } catch {
        throw forged('ciphertext') // why would tell who tries others
      }
    }
    case 'sign':
      return able(kind, type, 'sign')(key, use.plaintext)
    case 'verify':
      if (able(kind, type, 'verify')(key, use.plaintext, use.signature)) return nothing
      throw forged('signature')
  }
}

function able<Name extends KeyUse['to']>(kind: KeyKind, type: string, name: Name) {
  const act = kind[name]
  if (act !== undefined) return act as NonNullable<KeyKind[Name]>
  throw badInput(`keys of this type cannot ${name}`, { type }, 'use a key of another type')
}

const forged = (what: string) =>
  badInput(`the ${what} was not made with this key`, {}, 'give all of it, as it was made')
