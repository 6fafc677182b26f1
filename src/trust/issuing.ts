/** What all certificates are made of: keys, serial numbers, times. ECDSA P-384 with SHA-384. */
import { randomBytes, webcrypto } from 'node:crypto'
import 'reflect-metadata' // which the next one needs to be there first
import * as x509 from '@peculiar/x509'
import { type Clock, systemClock } from '#base'
import { TrustError } from './errors.ts'

/** A certificate and its private key (PKCS #8), both PEM. The key is a secret: mode 0600. */
export interface IssuedCertificate {
  readonly certificatePem: string
  readonly privateKeyPem: string
}

/** Of one that another authority made, the certificate of that one's follows its own: whoever checks has the first alone. */
export interface CertificateAuthority extends IssuedCertificate {}

const CURVE = { name: 'ECDSA', namedCurve: 'P-384' } as const
export const SIGNING = { name: 'ECDSA', hash: 'SHA-384' } as const
const DAY_MS = 86_400_000
/** Hosts whose clock is a little behind accept a new certificate at once. */
const BACKDATED_MS = 3_600_000

export async function readAuthority(ca: CertificateAuthority) {
  try {
    const der = x509.PemConverter.decodeFirst(ca.privateKeyPem)
    const key = await webcrypto.subtle.importKey('pkcs8', der, CURVE, false, ['sign'])
    return { certificate: new x509.X509Certificate(ca.certificatePem), key }
  } catch (cause) {
    throw new TrustError('trust.certificate_bad', {
      what: 'the certificate authority cannot be read',
      fix: 'give the certificate and the key that `ca generate` wrote, both PEM',
      cause,
    })
  }
}

export async function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return (await webcrypto.subtle.generateKey(CURVE, true, [
    'sign',
    'verify',
  ])) as webcrypto.CryptoKeyPair
}

export async function issued(
  certificate: x509.X509Certificate,
  keys: webcrypto.CryptoKeyPair,
): Promise<IssuedCertificate> {
  const der = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  return {
    certificatePem: `${certificate.toString('pem')}\n`,
    privateKeyPem: `${x509.PemConverter.encode(der, 'PRIVATE KEY')}\n`,
  }
}

export function validity(days: number, clock: Clock = systemClock) {
  const nowMs = clock.nowMs()
  return { notBefore: new Date(nowMs - BACKDATED_MS), notAfter: new Date(nowMs + days * DAY_MS) }
}

/** Nobody accepts it when its signer's has ended. @throws TrustError trust.certificate_bad: it has already */
export function validityUnder(
  signer: x509.X509Certificate,
  days: number,
  clock: Clock = systemClock,
) {
  const { notBefore, notAfter } = validity(days, clock)
  const latest = signer.notAfter
  if (latest.getTime() <= clock.nowMs()) {
    throw new TrustError('trust.certificate_bad', {
      what: 'the authority that is to sign has ended',
      values: { authority: signer.subject, notAfter: latest.toISOString() },
      fix: 'sign with one that is in date',
    })
  }
  return { notBefore, notAfter: notAfter < latest ? notAfter : latest }
}

/** 127 bits, positive. Source: CA/Browser Forum Baseline Requirements 7.1 asks for 64 or more. */
export function newSerial(): string {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return bytes.toString('hex')
}
