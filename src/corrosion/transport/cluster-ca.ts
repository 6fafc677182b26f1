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

/** Of one that another authority made, the certificate of that one's follows its own: whoever checks has the first alone. */
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
const JOINING_DAYS = 365
/** Hosts whose clock is a little behind accept a new certificate at once. */
const BACKDATED_MS = 3_600_000

/**
 * The authority of one cluster: who holds a certificate of it is a member. ECDSA P-384, five years. It may make
 * authorities that sign for hosts in its place (docs/adr/0010).
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
        ...authorityExtensions(1),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto as Crypto),
      ],
    },
    webcrypto as Crypto,
  )
  return issued(certificate, keys)
}

/**
 * An authority that signs for hosts in the cluster's place, and makes no other. A year, or as long as the cluster's.
 *
 * @throws TransportError transport.certificate_bad: also when the cluster's may sign for hosts alone
 */
export async function generateJoiningCa(
  ca: CertificateAuthority,
  options: { clock?: Clock } = {},
): Promise<CertificateAuthority> {
  const signer = await readAuthority(ca)
  if (!mayMakeAuthorities(ca.certificatePem)) {
    throw new TransportError('transport.certificate_bad', {
      what: "this cluster's authority was made to sign for hosts alone",
      fix: 'add hosts by the plan of the cluster: godwit host found',
    })
  }
  const keys = await generateKeys()
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: newSerial(),
      subject: 'CN=Godwit joining CA, O=Godwit',
      issuer: signer.certificate.subject,
      ...validityUnder(signer.certificate, JOINING_DAYS, options.clock),
      publicKey: keys.publicKey,
      signingKey: signer.key,
      signingAlgorithm: SIGNING,
      extensions: [
        ...authorityExtensions(0),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto as Crypto),
        await x509.AuthorityKeyIdentifierExtension.create(
          signer.certificate,
          false,
          webcrypto as Crypto,
        ),
      ],
    },
    webcrypto as Crypto,
  )
  return issued(certificate, keys)
}

/** Whether there may be a joining authority under it, or so many, each under the next. */
export function mayMakeAuthorities(caPem: string, count = 1): boolean {
  const constraints = new x509.X509Certificate(caPem).getExtension(x509.BasicConstraintsExtension)
  return constraints?.ca === true && (constraints.pathLength ?? count) >= count
}

const authorityExtensions = (pathLength: number) => [
  new x509.BasicConstraintsExtension(true, pathLength, true),
  new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
]

/** A request for a certificate: the key stays with who asks. */
export interface CertificateRequest {
  readonly requestPem: string
  readonly privateKeyPem: string
}

/** What it is to say of its holder, who signs decides. */
export async function generateCertificateRequest(): Promise<CertificateRequest> {
  const keys = await generateKeys()
  const request = await x509.Pkcs10CertificateRequestGenerator.create(
    { name: 'CN=host', keys, signingAlgorithm: SIGNING },
    webcrypto as Crypto,
  )
  const der = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  return {
    requestPem: `${request.toString('pem')}\n`,
    privateKeyPem: `${x509.PemConverter.encode(der, 'PRIVATE KEY')}\n`,
  }
}

/**
 * Of the key of a request, whose own words count for nothing, for a server with these names or a client without.
 *
 * @returns PEM: the certificate, and that of an authority that is not the cluster's own
 * @throws TransportError transport.certificate_bad
 */
export async function signCertificateRequest(
  ca: CertificateAuthority,
  requestPem: string,
  options: LeafOptions = {},
): Promise<string> {
  const publicKey = await keyOfRequest(requestPem)
  const { names = [] } = options
  const usage =
    names.length > 0 ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth
  const certificate = await signLeaf(ca, publicKey, usage, options)
  return `${certificate.toString('pem')}\n${ca.certificatePem}`
}

async function keyOfRequest(requestPem: string): Promise<x509.PublicKey> {
  try {
    const request = new x509.Pkcs10CertificateRequest(requestPem)
    if (await request.verify(webcrypto as Crypto)) return request.publicKey
  } catch (cause) {
    throw requestBad(cause)
  }
  throw requestBad(undefined)
}

const requestBad = (cause: unknown) =>
  new TransportError('transport.certificate_bad', {
    what: 'the request for a certificate is none, or is not signed by its key',
    ...(cause === undefined ? {} : { cause }),
  })

/**
 * What a node shows to those that connect to it, a year, or as long as its signer's. Its names hold each address under which
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

/** What a node shows to those it connects to, a year, or as long as its signer's. @throws TransportError transport.certificate_bad */
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
  const keys = await generateKeys()
  return issued(await signLeaf(ca, keys.publicKey, usage, options), keys)
}

async function signLeaf(
  ca: CertificateAuthority,
  publicKey: x509.PublicKeyType,
  usage: x509.ExtendedKeyUsage,
  options: LeafOptions,
): Promise<x509.X509Certificate> {
  const signer = await readAuthority(ca)
  const names = (options.names ?? []).map(alternativeName)
  return await x509.X509CertificateGenerator.create(
    {
      serialNumber: newSerial(),
      subject: new x509.Name([
        { CN: [options.commonName ?? options.names?.[0] ?? 'godwit client'] },
      ]),
      issuer: signer.certificate.subject,
      ...validityUnder(signer.certificate, LEAF_DAYS, options.clock),
      publicKey,
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

/** Nobody accepts it when its signer's has ended. @throws TransportError transport.certificate_bad: it has already */
function validityUnder(signer: x509.X509Certificate, days: number, clock: Clock = systemClock) {
  const { notBefore, notAfter } = validity(days, clock)
  const latest = signer.notAfter
  if (latest.getTime() <= clock.nowMs()) {
    throw new TransportError('transport.certificate_bad', {
      what: 'the authority that is to sign has ended',
      values: { authority: signer.subject, notAfter: latest.toISOString() },
      fix: 'sign with one that is in date',
    })
  }
  return { notBefore, notAfter: notAfter < latest ? notAfter : latest }
}

/** 127 bits, positive. Source: CA/Browser Forum Baseline Requirements 7.1 asks for 64 or more. */
function newSerial(): string {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return bytes.toString('hex')
}
