import { randomBytes, webcrypto } from 'node:crypto'
import { isIP } from 'node:net'
import 'reflect-metadata' // which the next one needs to be there first
import * as x509 from '@peculiar/x509'
import { type Clock, systemClock } from '#base'
import { TransportError } from './errors.ts'

/** A certificate and its private key (PKCS #8), both PEM. The key is a secret: mode 0600. */
export interface IssuedCertificate {
  readonly certificatePem: string
  readonly privateKeyPem: string
}

export interface CertificateAuthority extends IssuedCertificate {}

export interface LeafOptions {
  /** Addresses and names that the holder answers to; a server needs at least one. */
  readonly names?: readonly string[]
  readonly commonName?: string
  readonly clock?: Clock
}

const CURVE = { name: 'ECDSA', namedCurve: 'P-384' } as const
const SIGNING = { name: 'ECDSA', hash: 'SHA-384' } as const
const DAY_MS = 86_400_000
const CA_DAYS = 5 * 365
const LEAF_DAYS = 365
/** Hosts whose clock is a little behind accept a new certificate at once. */
const BACKDATED_MS = 3_600_000

/**
 * The authority of one cluster: who holds a certificate of it is a member. ECDSA P-384, five years.
 */
export async function generateClusterCa(
  options: { clock?: Clock } = {},
): Promise<CertificateAuthority> {
  const keys = await generateKeys()
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: newSerial(),
      name: 'CN=Godwit cluster CA, O=Godwit',
      ...validity(CA_DAYS, options.clock),
      keys,
      signingAlgorithm: SIGNING,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(
          x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
          true,
        ),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto as Crypto),
      ],
    },
    webcrypto as Crypto,
  )
  return issued(certificate, keys)
}

/**
 * What a node shows to those that connect to it, one year. Its names hold each address under which
 * peers reach it: they check the address that they dialled.
 * @throws TransportError transport.certificate_bad
 */
export function generateServerCertificate(
  ca: CertificateAuthority,
  options: LeafOptions & { readonly names: readonly string[] },
): Promise<IssuedCertificate> {
  if (options.names.length > 0) return generateLeaf(ca, x509.ExtendedKeyUsage.serverAuth, options)
  throw new TransportError('transport.certificate_bad', {
    what: 'a server certificate needs a name',
    fix: 'give the addresses under which peers reach this node',
  })
}

/** What a node shows to those it connects to, one year. @throws TransportError transport.certificate_bad */
export function generateClientCertificate(
  ca: CertificateAuthority,
  options: LeafOptions = {},
): Promise<IssuedCertificate> {
  return generateLeaf(ca, x509.ExtendedKeyUsage.clientAuth, options)
}

async function generateLeaf(
  ca: CertificateAuthority,
  usage: x509.ExtendedKeyUsage,
  options: LeafOptions,
): Promise<IssuedCertificate> {
  const signer = await readAuthority(ca)
  const keys = await generateKeys()
  const names = (options.names ?? []).map(alternativeName)
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: newSerial(),
      subject: new x509.Name([
        { CN: [options.commonName ?? options.names?.[0] ?? 'godwit client'] },
      ]),
      issuer: signer.certificate.subject,
      ...validity(LEAF_DAYS, options.clock),
      publicKey: keys.publicKey,
      signingKey: signer.key,
      signingAlgorithm: SIGNING,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([usage], false),
        await x509.AuthorityKeyIdentifierExtension.create(
          signer.certificate,
          false,
          webcrypto as Crypto,
        ),
        ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
      ],
    },
    webcrypto as Crypto,
  )
  return issued(certificate, keys)
}

function alternativeName(name: string): x509.JsonGeneralName {
  if (isIP(name) !== 0) return { type: 'ip', value: name }
  const isDnsName =
    /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/i
  if (isDnsName.test(name)) return { type: 'dns', value: name }
  throw new TransportError('transport.certificate_bad', {
    what: 'a certificate cannot hold this name',
    values: { name: name.slice(0, 253) },
    fix: 'give an IP address or a DNS name, without a port',
  })
}

async function readAuthority(ca: CertificateAuthority) {
  try {
    const der = x509.PemConverter.decodeFirst(ca.privateKeyPem)
    const key = await webcrypto.subtle.importKey('pkcs8', der, CURVE, false, ['sign'])
    return { certificate: new x509.X509Certificate(ca.certificatePem), key }
  } catch (cause) {
    throw new TransportError('transport.certificate_bad', {
      what: 'the certificate authority cannot be read',
      fix: 'give the certificate and the key that `ca generate` wrote, both PEM',
      cause,
    })
  }
}

async function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return (await webcrypto.subtle.generateKey(CURVE, true, [
    'sign',
    'verify',
  ])) as webcrypto.CryptoKeyPair
}

async function issued(
  certificate: x509.X509Certificate,
  keys: webcrypto.CryptoKeyPair,
): Promise<IssuedCertificate> {
  const der = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  return {
    certificatePem: `${certificate.toString('pem')}\n`,
    privateKeyPem: `${x509.PemConverter.encode(der, 'PRIVATE KEY')}\n`,
  }
}

function validity(days: number, clock: Clock = systemClock) {
  const nowMs = clock.nowMs()
  return { notBefore: new Date(nowMs - BACKDATED_MS), notAfter: new Date(nowMs + days * DAY_MS) }
}

/** 127 bits, positive. Source: CA/Browser Forum Baseline Requirements 7.1 asks for 64 or more. */
function newSerial(): string {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return bytes.toString('hex')
}
