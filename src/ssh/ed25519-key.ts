import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto'
import { keyBad } from './errors.ts'
import { text, u32, WireReader } from './wire.ts'

export const ED25519 = 'ssh-ed25519'
const KEY_BYTES = 32
/** DER before the raw key. Source: RFC 8410, sections 4 and 7. */
const SPKI = Buffer.from('302a300506032b6570032100', 'hex')
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')

/** A private key of SSH: kept as its 32 bytes, whose form no library changes. */
export class Ed25519Key {
  readonly seed: Buffer
  /** Raw, 32 bytes. */
  readonly publicKey: Buffer
  readonly #private: KeyObject

  /** @param seed 32 random bytes */
  constructor(seed: Uint8Array) {
    this.seed = Buffer.from(seed)
    const der = Buffer.concat([PKCS8, this.seed])
    this.#private = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
    const spki = createPublicKey(this.#private).export({ format: 'der', type: 'spki' })
    this.publicKey = spki.subarray(SPKI.length)
  }

  static generate(): Ed25519Key {
    const der = generateKeyPairSync('ed25519').privateKey.export({ format: 'der', type: 'pkcs8' })
    return new Ed25519Key(der.subarray(PKCS8.length))
  }

  sign(data: Uint8Array): Buffer {
    return sign(null, data, this.#private)
  }

  /** `ssh-ed25519 AAAA... comment` */
  publicLine(comment = ''): string {
    return `${ED25519} ${publicBlob(this.publicKey).toString('base64')} ${comment}`.trim()
  }

  /** As `ssh-keygen` writes it, without a passphrase. Source: OpenSSH PROTOCOL.key. */
  privatePem(comment = ''): string {
    const blob = publicBlob(this.publicKey)
    const check = u32(this.publicKey.readUInt32BE()) // twice the same: it was decrypted rightly
    const secret = Buffer.concat([
      ...[check, check, text(ED25519), text(this.publicKey)],
      ...[text(Buffer.concat([this.seed, this.publicKey])), text(comment)],
    ])
    const padding = Buffer.from(
      Array.from({ length: (8 - (secret.length % 8)) % 8 }, (_, i) => i + 1),
    )
    const whole = Buffer.concat([
      ...[Buffer.from('openssh-key-v1\0'), text('none'), text('none'), text('')],
      ...[u32(1), text(blob), text(Buffer.concat([secret, padding]))],
    ])
    const lines = whole.toString('base64').match(/.{1,70}/g) ?? []
    const [begin, end] = ['BEGIN', 'END'].map((word) => `-----${word} OPENSSH PRIVATE KEY-----`)
    return `${[begin, ...lines, end].join('\n')}\n`
  }
}

/** @param publicKey raw */
export const publicBlob = (publicKey: Uint8Array): Buffer =>
  Buffer.concat([text(ED25519), text(publicKey)])

/** The raw key of a line such as `ssh-ed25519 AAAA... me@laptop`. @throws SshError ssh.key_bad */
export function parsePublicLine(line: string): Buffer {
  const [type, base64 = ''] = line.trim().split(/\s+/)
  if (type !== ED25519) throw keyBad('only Ed25519 keys are taken')
  return rawOfBlob(Buffer.from(base64, 'base64'))
}

/** @throws SshError ssh.key_bad */
export function rawOfBlob(blob: Uint8Array): Buffer {
  const reader = new WireReader(blob)
  if (reader.text() !== ED25519) throw keyBad('only Ed25519 keys are taken')
  const raw = reader.bytes()
  if (raw.length !== KEY_BYTES || !reader.isAtEnd) throw keyBad('this is no Ed25519 key')
  return raw
}

/** @param publicKey raw; @param signature 64 bytes. */
export function isSignedBy(
  publicKey: Uint8Array,
  data: Uint8Array,
  signature: Uint8Array,
): boolean {
  const key = Buffer.concat([SPKI, publicKey])
  try {
    return verify(null, data, createPublicKey({ key, format: 'der', type: 'spki' }), signature)
  } catch {
    return false // bytes that are no point of the curve
  }
}

/** `ssh-ed25519` and the bytes, as signatures travel. */
export const signatureBlob = (signature: Uint8Array): Buffer =>
  Buffer.concat([text(ED25519), text(signature)])

/** The 64 bytes of a signature, in the envelope that names its algorithm or without. */
export function rawSignature(signature: Uint8Array): Buffer {
  if (signature.length === 64) return Buffer.from(signature)
  const reader = new WireReader(signature)
  if (reader.text() !== ED25519) throw keyBad('only signatures of Ed25519 are taken')
  return reader.bytes()
}
