import { createHash, randomBytes, webcrypto } from 'node:crypto'
import 'reflect-metadata' // which the next one needs to be there first
import * as x509 from '@peculiar/x509'
import type { Certificate } from '../certificates.ts'

const CURVE = { name: 'ECDSA', namedCurve: 'P-256' } as const
const SIGNING = { name: 'ECDSA', hash: 'SHA-256' } as const
const DAY_MS = 86_400_000
/** Clients whose clock is a little behind accept it at once. */
const BACKDATED_MS = 3_600_000
/** id-pe-acmeIdentifier (RFC 8737, section 3). */
const ACME_IDENTIFIER = '1.3.6.1.5.5.7.1.31'
const crypto = webcrypto as Crypto

/** An authority whose certificates nobody trusts before they install it. ECDSA P-256. */
export async function makeAuthority(
  name: string,
  days: number,
  nowMs: number,
): Promise<Certificate> {
  const keys = await makeKeys()
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: newSerial(),
      name: new x509.Name([{ CN: [name] }]),
      ...validity(days, nowMs),
      keys,
      signingAlgorithm: SIGNING,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(
          x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
          true,
        ),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, crypto),
      ],
    },
    crypto,
  )
  return pemOf(certificate, keys)
}

/** A server's certificate for DNS names (wildcards too), by an authority. */
export async function issueCertificate(
  authority: Certificate,
  names: readonly string[],
  days: number,
  nowMs: number,
): Promise<Certificate> {
  const keys = await makeKeys()
  const leaf = await signLeaf(authority, keys.publicKey, names, days, nowMs)
  const { key } = await pemOf(leaf, keys)
  return { chain: `${leaf.toString('pem')}\n${authority.chain}`, key }
}

/** The same for a public key that somebody else has made. */
export async function signLeaf(
  authority: Certificate,
  publicKey: CryptoKey,
  names: readonly string[],
  days: number,
  nowMs: number,
): Promise<x509.X509Certificate> {
  const issuer = new x509.X509Certificate(authority.chain)
  const der = x509.PemConverter.decodeFirst(authority.key)
  const signingKey = await crypto.subtle.importKey('pkcs8', der, CURVE, false, ['sign'])
  return x509.X509CertificateGenerator.create(
    {
      serialNumber: newSerial(),
      subject: new x509.Name([{ CN: [(names[0] ?? '').slice(0, 64)] }]),
      issuer: issuer.subject,
      ...validity(days, nowMs),
      publicKey,
      signingKey,
      signingAlgorithm: SIGNING,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth], false),
        await x509.AuthorityKeyIdentifierExtension.create(issuer, false, crypto),
        new x509.SubjectAlternativeNameExtension(
          names.map((value) => ({ type: 'dns' as const, value })),
        ),
      ],
    },
    crypto,
  )
}

/** What is shown to who validates a name by TLS-ALPN-01 (RFC 8737, section 3). */
export async function makeAlpnChallenge(
  name: string,
  keyAuthorization: string,
  nowMs: number,
): Promise<Certificate> {
  const keys = await makeKeys()
  const digest = createHash('sha256').update(keyAuthorization).digest()
  const octets = Buffer.concat([Buffer.of(0x04, digest.length), digest])
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: newSerial(),
      name: new x509.Name([{ CN: [name.slice(0, 64)] }]),
      ...validity(7, nowMs),
      keys,
      signingAlgorithm: SIGNING,
      extensions: [
        new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: name }]),
        new x509.Extension(ACME_IDENTIFIER, true, octets),
      ],
    },
    crypto,
  )
  return pemOf(certificate, keys)
}

/** PKCS #8, PEM. */
export async function makePrivateKey(): Promise<string> {
  return exportKey((await makeKeys()).privateKey)
}

async function makeKeys(): Promise<webcrypto.CryptoKeyPair> {
  return (await crypto.subtle.generateKey(CURVE, true, [
    'sign',
    'verify',
  ])) as webcrypto.CryptoKeyPair
}

async function exportKey(key: CryptoKey): Promise<string> {
  const der = await crypto.subtle.exportKey('pkcs8', key)
  return `${x509.PemConverter.encode(der, 'PRIVATE KEY')}\n`
}

async function pemOf(
  certificate: x509.X509Certificate,
  keys: webcrypto.CryptoKeyPair,
): Promise<Certificate> {
  return { chain: `${certificate.toString('pem')}\n`, key: await exportKey(keys.privateKey) }
}

const validity = (days: number, nowMs: number) => ({
  notBefore: new Date(nowMs - BACKDATED_MS),
  notAfter: new Date(nowMs + days * DAY_MS),
})

/** 127 bits, positive. */
function newSerial(): string {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return bytes.toString('hex')
}
