import {
  type Ed25519Key,
  isSignedBy,
  publicBlob,
  rawOfBlob,
  rawSignature,
  signatureBlob,
} from './ed25519-key.ts'
import { keyBad, SshError } from './errors.ts'
import { text, u32, u64, WireReader } from './wire.ts'

/** Source: OpenSSH PROTOCOL.certkeys. */
export const CERTIFICATE_TYPE = 'ssh-ed25519-cert-v01@openssh.com'
const USER = 1
/** Ours: ids of the apps whose machines it opens. Critical, so that who does not know it refuses. */
const APPS = 'apps@godwit'
const EXTENSIONS = ['permit-port-forwarding', 'permit-pty', 'permit-user-rc']
const NONCE_BYTES = 32
/** Clocks of two hosts are never the same. */
const SKEW_S = 60

export interface CertificateContent {
  /** Raw, of who is to be let in. */
  readonly publicKey: Buffer
  readonly serial: bigint
  /** Who asked for it: stands in the logs of whoever checks it. */
  readonly keyId: string
  /** Names of users as whom it lets in. */
  readonly principals: readonly string[]
  /** Ids of apps. Empty: all apps of the organisation. */
  readonly apps: readonly string[]
  /** Unix seconds. */
  readonly validAfterS: number
  readonly validBeforeS: number
}

export interface Certificate extends CertificateContent {
  /** Raw, of the authority. */
  readonly authority: Buffer
}

/** A line for a file `NAME-cert.pub`. @param nonce 32 random bytes */
export function issueCertificate(
  authority: Ed25519Key,
  content: CertificateContent,
  nonce: Uint8Array,
): string {
  if (nonce.length !== NONCE_BYTES) throw new RangeError(`a nonce has ${NONCE_BYTES} bytes`)
  const { publicKey, serial, keyId, principals, apps, validAfterS, validBeforeS } = content
  const options = apps.length === 0 ? [] : [text(APPS), text(text(apps.join(',')))]
  const body = Buffer.concat([
    ...[text(CERTIFICATE_TYPE), text(nonce), text(publicKey), u64(serial), u32(USER), text(keyId)],
    text(Buffer.concat(principals.map((one) => text(one)))),
    ...[u64(BigInt(validAfterS)), u64(BigInt(validBeforeS)), text(Buffer.concat(options))],
    text(Buffer.concat(EXTENSIONS.flatMap((name) => [text(name), text('')]))),
    ...[text(''), text(publicBlob(authority.publicKey))],
  ])
  const whole = Buffer.concat([body, text(signatureBlob(authority.sign(body)))])
  return `${CERTIFICATE_TYPE} ${whole.toString('base64')} ${keyId.replace(/\s/g, '_')}`
}

/** The bytes of such a line. @throws SshError ssh.key_bad */
export function parseCertificateLine(line: string): Buffer {
  const [type, base64 = ''] = line.trim().split(/\s+/)
  if (type !== CERTIFICATE_TYPE) throw keyBad('this is no certificate of an Ed25519 user key')
  return Buffer.from(base64, 'base64')
}

/**
 * What a certificate says, its signature checked; whether its authority counts is for the caller.
 *
 * @throws SshError ssh.key_bad: no certificate, a critical option that we do not know, a wrong signature
 */
export function parseCertificate(blob: Uint8Array): Certificate {
  const reader = new WireReader(blob)
  if (reader.text() !== CERTIFICATE_TYPE) throw keyBad('this is no certificate of a user key')
  reader.bytes() // the nonce
  const publicKey = reader.bytes()
  const serial = reader.u64()
  if (reader.u32() !== USER) throw keyBad('this certificate is for a host')
  const keyId = reader.text()
  const principals = new WireReader(reader.bytes()).texts()
  const [validAfterS, validBeforeS] = [Number(reader.u64()), Number(reader.u64())]
  const apps = appsOf(reader.bytes())
  reader.bytes() // extensions: what is not there is not needed
  reader.bytes() // reserved
  const authority = rawOfBlob(reader.bytes())
  const body = blob.subarray(0, reader.position)
  const signature = rawSignature(reader.bytes())
  if (!reader.isAtEnd || !isSignedBy(authority, body, signature)) {
    throw keyBad('the signature of the certificate is wrong')
  }
  return { publicKey, serial, keyId, principals, apps, validAfterS, validBeforeS, authority }
}

/** Names and values: a value is a text in a text. */
function appsOf(options: Buffer): string[] {
  const reader = new WireReader(options)
  const apps: string[] = []
  while (!reader.isAtEnd) {
    const name = reader.text()
    const value = new WireReader(reader.bytes())
    if (name !== APPS) throw keyBad(`a critical option that is not known: ${name}`)
    apps.push(...value.text().split(','))
    if (apps.includes('')) throw keyBad('a certificate for no app')
  }
  return apps
}

export interface Door {
  /** Raw keys of the organisation's authorities. */
  readonly authorities: readonly Uint8Array[]
  readonly appId: string
  readonly user: string
  readonly nowMs: number
}

/** @throws SshError ssh.certificate_refused: it does not open this door */
export function checkCertificate(certificate: Certificate, door: Door): void {
  const { authority, principals, apps, validAfterS, validBeforeS } = certificate
  const nowS = door.nowMs / 1000
  const isOurs = door.authorities.some((key) => authority.equals(key))
  if (!isOurs) throw refused('not of an authority of this organisation')
  if (nowS < validAfterS - SKEW_S || nowS >= validBeforeS) throw refused('not valid now')
  if (!principals.includes(door.user)) throw refused(`not for user ${door.user}`)
  if (apps.length > 0 && !apps.includes(door.appId)) throw refused('not for this app')
}

const refused = (why: string) =>
  new SshError('ssh.certificate_refused', {
    what: `the certificate is ${why}`,
    fix: 'get another one with: godwit ssh issue',
  })
