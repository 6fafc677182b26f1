import {
  createECDH,
  createHmac,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  sign,
  timingSafeEqual,
  verify,
} from 'node:crypto'
import nacl from 'tweetnacl'
import type { Random } from '#base'
import { badInput } from '../errors.ts'
import { openXaes, sealXaes } from './xaes256gcm.ts'

/** What a key is for. Source of the names: Fly.io's Machines API, secret keys. */
export const SECRET_KEY_TYPES = [
  'es256',
  'hs256',
  'hs384',
  'hs512',
  'xaes256gcm',
  'nacl_auth',
  'nacl_box',
  'nacl_secretbox',
  'nacl_sign',
] as const
export type SecretKeyType = (typeof SECRET_KEY_TYPES)[number]

/** What a type's keys can do. What is absent they cannot. */
export interface KeyKind {
  /** Of a secret key, in bytes: least and most. */
  readonly bytes: readonly [least: number, most: number]
  /** Undefined: nothing of it is public. */
  readonly publicKey?: (key: Uint8Array) => Uint8Array
  readonly encrypt?: (key: Uint8Array, input: Encryption, random: Random) => Uint8Array
  /** @throws Error: it was not made with this key */
  readonly decrypt?: (key: Uint8Array, input: Decryption) => Uint8Array
  readonly sign?: (key: Uint8Array, text: Uint8Array) => Uint8Array
  readonly verify?: (key: Uint8Array, text: Uint8Array, signature: Uint8Array) => boolean
  readonly takesAssociatedData?: boolean
}

interface Encryption {
  readonly plaintext: Uint8Array
  readonly associatedData: Uint8Array
}

interface Decryption {
  readonly ciphertext: Uint8Array
  readonly associatedData: Uint8Array
}

const NONCE_BYTES = 24
const PUBLIC_BYTES = 32
/** Longer ones only slow HMAC down. */
const HMAC_KEY_BYTES_MAX = 1_024

/** @param bytes of the result: of its beginning */
function hmacKind(
  hash: 'sha256' | 'sha384' | 'sha512',
  bytes: number,
  keyBytes: KeyKind['bytes'],
): KeyKind {
  const mac = (key: Uint8Array, text: Uint8Array) =>
    createHmac(hash, key).update(text).digest().subarray(0, bytes)
  return {
    bytes: keyBytes,
    sign: mac,
    verify: (key, text, signature) =>
      signature.length === bytes && timingSafeEqual(mac(key, text), signature),
  }
}

/** The secret key is the scalar, the public one a SubjectPublicKeyInfo, the signature r and s as in RFC 7518, 3.4. */
const es256: KeyKind = {
  bytes: [32, 32],
  publicKey: (key) =>
    createPublicKey(ecKey(key)).export({
      format: 'der',
      type: 'spki',
    }),
  sign: (key, text) => sign('sha256', text, { key: ecKey(key), dsaEncoding: 'ieee-p1363' }),
  verify: (key, text, signature) =>
    verify('sha256', text, { key: ecKey(key), dsaEncoding: 'ieee-p1363' }, signature),
}

function ecKey(scalar: Uint8Array): KeyObject {
  const pair = createECDH('prime256v1')
  pair.setPrivateKey(scalar)
  const point = pair.getPublicKey()
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url')
  const [x, y] = [text(point.subarray(1, 33)), text(point.subarray(33))]
  const key = { kty: 'EC', crv: 'P-256', d: text(scalar), x, y }
  return createPrivateKey({ key, format: 'jwk' })
}

/** Nonce, ciphertext and tag. */
const xaes256gcm: KeyKind = {
  bytes: [32, 32],
  takesAssociatedData: true,
  encrypt(key, { plaintext, associatedData }, random) {
    const nonce = random.bytes(NONCE_BYTES)
    return Buffer.concat([nonce, sealXaes(key, nonce, plaintext, associatedData)])
  },
  decrypt(key, { ciphertext, associatedData }) {
    const [nonce, box] = [ciphertext.subarray(0, NONCE_BYTES), ciphertext.subarray(NONCE_BYTES)]
    return openXaes(key, nonce, box, associatedData)
  },
}

/** Nonce and box. */
const secretbox: KeyKind = {
  bytes: [32, 32],
  encrypt(key, { plaintext }, random) {
    const nonce = new Uint8Array(random.bytes(NONCE_BYTES))
    return Buffer.concat([nonce, nacl.secretbox(plain(plaintext), nonce, plain(key))])
  },
  decrypt(key, { ciphertext }) {
    const bytes = plain(ciphertext)
    if (bytes.length < NONCE_BYTES) throw new RangeError('too short')
    const [nonce, box] = [bytes.subarray(0, NONCE_BYTES), bytes.subarray(NONCE_BYTES)]
    return orForged(nacl.secretbox.open(box, nonce, plain(key)))
  },
}

/** For whoever has the secret key, from anybody: the public key of this message alone, nonce and box. */
const box: KeyKind = {
  bytes: [32, 32],
  publicKey: (key) => nacl.box.keyPair.fromSecretKey(plain(key)).publicKey,
  encrypt(key, { plaintext }, random) {
    const { publicKey } = nacl.box.keyPair.fromSecretKey(plain(key))
    const once = nacl.box.keyPair.fromSecretKey(plain(random.bytes(PUBLIC_BYTES)))
    const nonce = plain(random.bytes(NONCE_BYTES))
    const sealed = nacl.box(plain(plaintext), nonce, publicKey, once.secretKey)
    return Buffer.concat([once.publicKey, nonce, sealed])
  },
  decrypt(key, { ciphertext }) {
    const bytes = plain(ciphertext)
    const head = PUBLIC_BYTES + NONCE_BYTES
    if (bytes.length < head) throw new RangeError('too short')
    const [theirs, nonce] = [bytes.subarray(0, PUBLIC_BYTES), bytes.subarray(PUBLIC_BYTES, head)]
    return orForged(nacl.box.open(bytes.subarray(head), nonce, theirs, plain(key)))
  },
}

/** The secret key is the seed of RFC 8032. */
const signing: KeyKind = {
  bytes: [32, 32],
  publicKey: (key) => nacl.sign.keyPair.fromSeed(plain(key)).publicKey,
  sign: (key, text) =>
    nacl.sign.detached(plain(text), nacl.sign.keyPair.fromSeed(plain(key)).secretKey),
  verify: (key, text, signature) =>
    signature.length === nacl.sign.signatureLength &&
    nacl.sign.detached.verify(
      plain(text),
      plain(signature),
      nacl.sign.keyPair.fromSeed(plain(key)).publicKey,
    ),
}

/** The library takes no Buffer. */
const plain = (bytes: Uint8Array) => new Uint8Array(bytes)

function orForged(opened: Uint8Array | null): Uint8Array {
  if (opened === null) throw new RangeError('not made with this key')
  return opened
}

const kinds: Readonly<Record<SecretKeyType, KeyKind>> = {
  es256,
  // RFC 7518, 3.2: a key has at least the bytes of the hash.
  hs256: hmacKind('sha256', 32, [32, HMAC_KEY_BYTES_MAX]),
  hs384: hmacKind('sha384', 48, [48, HMAC_KEY_BYTES_MAX]),
  hs512: hmacKind('sha512', 64, [64, HMAC_KEY_BYTES_MAX]),
  xaes256gcm,
  nacl_auth: hmacKind('sha512', 32, [32, 32]),
  nacl_box: box,
  nacl_secretbox: secretbox,
  nacl_sign: signing,
}

/** @throws AccountsError accounts.bad_input */
export function keyKindOf(type: string): KeyKind {
  if (Object.hasOwn(kinds, type)) return kinds[type as SecretKeyType]
  const fix = `use ${SECRET_KEY_TYPES.join(', ')}`
  throw badInput('no type of a secret key', { type: type.slice(0, 40) }, fix)
}

export const newKeyBytes = ({ bytes: [least] }: KeyKind, random: Random): Uint8Array =>
  random.bytes(least)

/** @throws AccountsError accounts.bad_input: too short, too long, or no key of this type */
export function checkKeyBytes(type: string, key: Uint8Array): void {
  const kind = keyKindOf(type)
  const [least, most] = kind.bytes
  if (key.length < least || key.length > most) {
    const wanted = least === most ? `${least}` : `${least} to ${most}`
    throw badInput('a key of another length', { type, bytes: key.length }, `give ${wanted} bytes`)
  }
  try {
    kind.publicKey?.(key)
  } catch {
    throw badInput('no key of this type', { type }, 'generate one instead')
  }
}
