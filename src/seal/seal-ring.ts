import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { errorCode, type Random } from '#base'

/** What the owner of a ring throws: who reads it wants to know whose ring it is, and what to do. */
export interface SealRefusals {
  readonly badRing: (what: string, values: Readonly<Record<string, unknown>>, fix?: string) => Error
  /** Sealed with a key that is not in the ring. */
  readonly keyMissing: (key: string, context: string) => Error
  /** No bytes that this ring sealed for this context. */
  readonly tampered: (context: string, cause?: unknown) => Error
}

/**
 * Keys that secrets are sealed with, in a file of their own:
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
 *   14+n+m  16    tag; covers the header and `context`, which names the place that the bytes belong to
 */
export class SealRing {
  #keys: Keys
  readonly #random: Random
  readonly #refusals: SealRefusals

  readonly #file: string | undefined
  /** Of the file when it was read: before the first use, which also sees what came between the text and now. */
  #stamp = ''

  /**
   * @param file where the text stands: read anew when it has changed, so that who seals with a new key needs no restart
   *   of those that read. While it cannot be read, what was known holds
   * @throws what `refusals.badRing` makes
   */
  constructor(text: string, random: Random, refusals: SealRefusals, file?: string) {
    this.#keys = keysOf(text, refusals)
    this.#random = random
    this.#refusals = refusals
    this.#file = file
  }

  #current(): Keys {
    const stamp = stampOf(this.#file)
    if (this.#file === undefined || stamp === this.#stamp || stamp === '') return this.#keys
    try {
      this.#keys = keysOf(readRing(this.#file, this.#refusals), this.#refusals)
      this.#stamp = stamp
    } catch {
      // Whoever starts with this file is told what is wrong with it; who runs goes on.
    }
    return this.#keys
  }

  seal(plaintext: Uint8Array, context: string): Buffer {
    const [name, key] = this.#current().newest
    const header = Buffer.from([VERSION, name.length, ...Buffer.from(name, 'ascii')])
    const nonce = this.#random.bytes(NONCE_BYTES)
    const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES })
    cipher.setAAD(Buffer.concat([header, Buffer.from(context)]))
    const body = [cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]
    return Buffer.concat([header, nonce, ...body])
  }

  /** @throws what `refusals.tampered` and `refusals.keyMissing` make */
  open(sealed: Uint8Array, context: string): Buffer {
    const name = nameOf(sealed)
    const headerBytes = 2 + name.length
    if (sealed[0] !== VERSION || sealed.length < headerBytes + NONCE_BYTES + TAG_BYTES) {
      throw this.#refusals.tampered(context)
    }
    const key = this.#current().all.get(name)
    if (key === undefined) throw this.#refusals.keyMissing(name, context)
    const nonce = sealed.subarray(headerBytes, headerBytes + NONCE_BYTES)
    const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES })
    decipher.setAAD(Buffer.concat([sealed.subarray(0, headerBytes), Buffer.from(context)]))
    decipher.setAuthTag(sealed.subarray(-TAG_BYTES))
    const plaintext = decipher.update(sealed.subarray(headerBytes + NONCE_BYTES, -TAG_BYTES))
    try {
      decipher.final()
    } catch (cause) {
      throw this.#refusals.tampered(context, cause) // final() fails for a wrong tag only
    }
    return plaintext
  }

  /** Whether the key is in the ring that this was sealed with. */
  hasKeyOf(sealed: Uint8Array): boolean {
    return this.#current().all.has(nameOf(sealed))
  }

  isNewest(sealed: Uint8Array): boolean {
    return nameOf(sealed) === this.#current().newest[0]
  }

  /** Bytes that all holders of the ring derive alike (HKDF, RFC 5869) and nobody else can. */
  derive(info: string, length: number): Buffer {
    return Buffer.from(hkdfSync('sha256', this.#current().newest[1], Buffer.alloc(0), info, length))
  }
}

const VERSION = 1
const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
const CIPHER = 'aes-256-gcm'
const NAME = /^[a-z0-9-]{1,32}$/

/** A line for a ring. */
export const newKeyLine = (name: string, random: Random): string =>
  `${name} ${Buffer.from(random.bytes(KEY_BYTES)).toString('base64')}\n`

/**
 * The text of a ring's file.
 *
 * @param fix what to do when there is none
 * @throws what `refusals.badRing` makes: also when others than its owner may read it
 */
export function readRing(path: string, { badRing }: SealRefusals, fix?: string): string {
  let mode: number
  let text: string
  try {
    mode = statSync(path).mode & 0o777
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    throw badRing("the key ring can't be read", { path, problem: errorCode(cause) }, fix)
  }
  if ((mode & 0o077) === 0) return text
  throw badRing(
    'others can read the key ring',
    { path, mode: mode.toString(8) },
    `chmod 600 ${path}`,
  )
}

interface Keys {
  readonly all: ReadonlyMap<string, Uint8Array>
  readonly newest: readonly [name: string, key: Uint8Array]
}

function keysOf(text: string, refusals: SealRefusals): Keys {
  const all = parseRing(text, refusals)
  const newest = [...all].at(-1)
  if (newest === undefined) throw refusals.badRing('the key ring is empty', {})
  return { all, newest }
}

/** Another one after each change; empty: there is no such file. */
function stampOf(file: string | undefined): string {
  const stat = file === undefined ? undefined : statSync(file, { throwIfNoEntry: false })
  return stat === undefined ? '' : `${stat.ino} ${stat.mtimeMs} ${stat.size}`
}

function parseRing(text: string, { badRing }: SealRefusals): Map<string, Uint8Array> {
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
