import {
  createCipheriv,
  createDecipheriv,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto'
import { refuse } from '../errors.ts'

/** An answer that only who asked can read. Base64. */
export interface SealedAnswer {
  /** X25519, raw: of this answer alone. */
  readonly publicKey: string
  readonly nonce: string
  /** AES-256-GCM, the tag at its end. */
  readonly box: string
}

const KEY_BYTES = 32
const TAG_BYTES = 16
/** DER of a SubjectPublicKeyInfo before the raw key. Source: RFC 8410, section 4. */
const SPKI_X25519 = Buffer.from('302a300506032b656e032100', 'hex')

/**
 * A key pair for one question (RFC 7748; HKDF, RFC 5869). Both sides throw theirs away, so that who records what
 * travels reads nothing of it later either, with whatever key. That the keys are theirs the signatures around
 * question and answer must say.
 */
export class SealedAsk {
  readonly publicKey: string
  readonly #privateKey: KeyObject

  constructor() {
    const { publicKey, privateKey } = generateKeyPairSync('x25519')
    this.publicKey = rawOf(publicKey).toString('base64')
    this.#privateKey = privateKey
  }

  /** @throws FlydError flyd.argument_bad: it was sealed to somebody else, or changed */
  open({ publicKey, nonce, box }: SealedAnswer, context: string): string {
    const [bytes, theirs] = [Buffer.from(box, 'base64'), Buffer.from(publicKey, 'base64')]
    try {
      const key = keyOf(this.#privateKey, theirs, [this.publicKey, publicKey], context)
      const decipher = createDecipheriv('aes-256-gcm', key, Buffer.from(nonce, 'base64'))
      decipher.setAuthTag(bytes.subarray(-TAG_BYTES))
      const opened = [decipher.update(bytes.subarray(0, -TAG_BYTES)), decipher.final()]
      return Buffer.concat(opened).toString()
    } catch (cause) {
      throw refuse('flyd.argument_bad', 'invalid_argument: a sealed answer cannot be opened', cause)
    }
  }
}

/**
 * @param asker the public key of a SealedAsk
 * @throws FlydError flyd.argument_bad: that is no key
 */
export function sealAnswer(asker: string, text: string, context: string): SealedAnswer {
  const ours = generateKeyPairSync('x25519')
  const publicKey = rawOf(ours.publicKey).toString('base64')
  const nonce = randomBytes(12)
  try {
    const theirs = Buffer.from(asker, 'base64')
    const key = keyOf(ours.privateKey, theirs, [asker, publicKey], context)
    const cipher = createCipheriv('aes-256-gcm', key, nonce)
    const box = Buffer.concat([cipher.update(text), cipher.final(), cipher.getAuthTag()])
    return { publicKey, nonce: nonce.toString('base64'), box: box.toString('base64') }
  } catch (cause) {
    throw refuse('flyd.argument_bad', 'invalid_argument: no key to seal an answer to', cause)
  }
}

function keyOf(own: KeyObject, theirs: Buffer, both: readonly string[], context: string): Buffer {
  if (theirs.length !== KEY_BYTES) throw new RangeError('not the length of a key')
  const der = Buffer.concat([SPKI_X25519, theirs])
  const publicKey = createPublicKey({ key: der, format: 'der', type: 'spki' })
  const shared = diffieHellman({ privateKey: own, publicKey })
  const info = `godwit-sealed-1 ${context}`
  return Buffer.from(hkdfSync('sha256', shared, both.join(' '), info, KEY_BYTES))
}

const rawOf = (key: KeyObject) =>
  key.export({ format: 'der', type: 'spki' }).subarray(SPKI_X25519.length)
