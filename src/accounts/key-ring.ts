import { createCipheriv, createDecipheriv } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { errorCode, type Random } from '#base'
import { AccountsError } from './errors.ts'

/**
 * The keys that everything secret in the database is sealed with. The ring is a file of its own, on
 * no replica and in no backup of the database:
 *
 *   # comment
 *   <name> <32 bytes in base64>        the last line seals, all lines open
 *
 * Sealed bytes, AES-256-GCM (NIST SP 800-38D; random nonces are good for 2^32 seals a key):
 *
 *   offset  size  field
 *   0       1     1, the version of this layout
 *   1       1     n, length of the key's name
 *   2       n     the key's name, ASCII
 *   2+n     12    nonce
 *   14+n    m     ciphertext
 *   14+n+m  16    tag; covers the header and `context`, which names table, row and column
 */
export class KeyRing {
  readonly #keys: ReadonlyMap<string, Uint8Array>
  readonly #newest: readonly [name: string, key: Uint8Array]
  readonly #random: Random

  /** @throws AccountsError accounts.key_file_bad */
  constructor(text: string, random: Random) {
    const keys = parseRing(text)
    const newest = [...keys].at(-1)
    if (newest === undefined) throw badRing('the key ring is empty', {})
    this.#keys = keys
    this.#newest = newest
    this.#random = random
  }

  seal(plaintext: Uint8Array, context: string): Buffer {
    const [name, key] = this.#newest
    const header = Buffer.from([VERSION, name.length, ...Buffer.from(name, 'ascii')])
    const nonce = this.#random.bytes(NONCE_BYTES)
    const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES })
    cipher.setAAD(Buffer.concat([header, Buffer.from(context)]))
    const body = [cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]
    return Buffer.concat([header, nonce, ...body])
  }

  /** @throws AccountsError accounts.tampered, accounts.sealing_key_missing */
  open(sealed: Uint8Array, context: string): Buffer {
    const name = nameOf(sealed)
    const headerBytes = 2 + name.length
    if (sealed[0] !== VERSION || sealed.length < headerBytes + NONCE_BYTES + TAG_BYTES) {
      throw tampered(context)
    }
    const key = this.#keys.get(name)
    if (key === undefined) {
      throw new AccountsError('accounts.sealing_key_missing', {
        what: 'a value is sealed with a key that is not in the key ring',
        values: { key: name, context },
        fix: 'put the line of that key back into the key ring',
      })
    }
    const nonce = sealed.subarray(headerBytes, headerBytes + NONCE_BYTES)
    const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES })
    decipher.setAAD(Buffer.concat([sealed.subarray(0, headerBytes), Buffer.from(context)]))
    decipher.setAuthTag(sealed.subarray(-TAG_BYTES))
    const plaintext = decipher.update(sealed.subarray(headerBytes + NONCE_BYTES, -TAG_BYTES))
    try {
      decipher.final()
    } catch (cause) {
      throw tampered(context, cause) // final() fails for a wrong tag only
    }
    return plaintext
  }

  isNewest(sealed: Uint8Array): boolean {
    return nameOf(sealed) === this.#newest[0]
  }
}

const VERSION = 1
const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
const CIPHER = 'aes-256-gcm'
const NAME = /^[a-z0-9-]{1,32}$/

/** A line for a key ring. */
export const newKeyLine = (name: string, random: Random): string =>
  `${name} ${Buffer.from(random.bytes(KEY_BYTES)).toString('base64')}\n`

/** @throws AccountsError accounts.key_file_bad: also when others than its owner may read it. */
export function readKeyRing(path: string, random: Random): KeyRing {
  try {
    const mode = statSync(path).mode & 0o777
    if ((mode & 0o077) !== 0) {
      const fix = `chmod 600 ${path}`
      throw badRing('others can read the key ring', { path, mode: mode.toString(8) }, fix)
    }
    return new KeyRing(readFileSync(path, 'utf8'), random)
  } catch (cause) {
    if (cause instanceof AccountsError) throw cause
    const values = { path, problem: errorCode(cause) }
    throw badRing("the key ring can't be read", values, 'make one with: godwit accounts init')
  }
}

function parseRing(text: string): Map<string, Uint8Array> {
  const keys = new Map<string, Uint8Array>()
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue
    const [name = '', base64 = '', ...rest] = line.trim().split(/\s+/)
    const key = Buffer.from(base64, 'base64')
    const isGood = key.length === KEY_BYTES && key.toString('base64') === base64
    if (!NAME.test(name) || !isGood || rest.length > 0 || keys.has(name)) {
      const fix = 'a line is a name of its own and 32 bytes in base64'
      throw badRing('a line of the key ring is no key', { line: index + 1 }, fix)
    }
    keys.set(name, key)
  }
  return keys
}

const nameOf = (sealed: Uint8Array) =>
  Buffer.from(sealed.subarray(2, 2 + (sealed[1] ?? 0))).toString('latin1')

const tampered = (context: string, cause?: unknown) =>
  new AccountsError('accounts.tampered', {
    what: 'a sealed value was changed outside of this program',
    values: { context },
    fix: 'restore the database from a backup, and find out who wrote to it',
    ...(cause === undefined ? {} : { cause }),
  })

function badRing(what: string, values: Readonly<Record<string, unknown>>, fix?: string) {
  return new AccountsError('accounts.key_file_bad', {
    what,
    values,
    ...(fix === undefined ? {} : { fix }),
  })
}
