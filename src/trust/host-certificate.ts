import { webcrypto } from 'node:crypto'
import { isIP } from 'node:net'
import 'reflect-metadata' // which the next one needs to be there first
import * as x509 from '@peculiar/x509'
import type { Clock } from '#base'
import { TrustError } from './errors.ts'
import {
  type CertificateAuthority,
  generateKeys,
  type IssuedCertificate,
  issued,
  newSerial,
  readAuthority,
  SIGNING,
  validityUnder,
} from './issuing.ts'

export interface LeafOptions {
  /** Addresses and names that the holder answers to; a server needs at least one. */
  readonly names?: readonly string[]
  readonly commonName?: string
  readonly clock?: Clock
}

/** Of a host that was founded: it may be a cluster whose gateways cannot sign. */
export const LEAF_DAYS = 365
/** What a gateway signs: the host that has it asks for the next in time. */
const RENEWED_DAYS = 90

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
 * @throws TrustError trust.certificate_bad
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
  const certificate = await signLeaf(ca, publicKey, usage, { days: RENEWED_DAYS, ...options })
  return chainOf(certificate, ca)
}

/**
 * The same certificate by another authority, or for longer: of the same key, for the same purpose. That it was the
 * cluster's is for the caller to see.
 *
 * @param chainPem the certificate, and what follows it
 * @param options.names @default those that it has
 * @param options.days at most as long as the signer's own @default 90
 * @returns as `signCertificateRequest`
 * @throws TrustError trust.certificate_bad
 */
export async function renewCertificate(
  ca: CertificateAuthority,
  chainPem: string,
  options: Pick<LeafOptions, 'names' | 'clock'> & { readonly days?: number } = {},
): Promise<string> {
  const { publicKey, usage, names } = readLeaf(chainPem)
  const about = { days: RENEWED_DAYS, names, ...options }
  return chainOf(await signLeaf(ca, publicKey, usage, about), ca)
}

/** Whoever checks has the cluster's own authority: the one between them is shown. */
function chainOf(certificate: x509.X509Certificate, { certificatePem }: CertificateAuthority) {
  const { subject, issuer } = new x509.X509Certificate(certificatePem)
  return `${certificate.toString('pem')}\n${subject === issuer ? '' : certificatePem}`
}

/** Addresses and names of a certificate. @throws TrustError trust.certificate_bad */
export const namesIn = (chainPem: string): readonly string[] => readLeaf(chainPem).names

function readLeaf(chainPem: string) {
  try {
    const leaf = new x509.X509Certificate(chainPem)
    const [usage = x509.ExtendedKeyUsage.clientAuth] =
      leaf.getExtension(x509.ExtendedKeyUsageExtension)?.usages ?? []
    const named = leaf.getExtension(x509.SubjectAlternativeNameExtension)?.names.items ?? []
    const names = named.flatMap(({ type, value }) =>
      type === 'ip' || type === 'dns' ? [value] : [],
    )
    return { publicKey: leaf.publicKey, usage: usage as x509.ExtendedKeyUsage, names }
  } catch (cause) {
    throw new TrustError('trust.certificate_bad', {
      what: 'a certificate that is to be renewed cannot be read',
      fix: 'give a PEM certificate of a host',
      cause,
    })
  }
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
  new TrustError('trust.certificate_bad', {
    what: 'the request for a certificate is none, or is not signed by its key',
    ...(cause === undefined ? {} : { cause }),
  })

/**
 * What a node shows to those that connect to it, a year, or as long as its signer's. Its names hold each address under which
 * peers reach it: they check the address that they dialled.
 * @throws TrustError trust.certificate_bad
 */
export function generateServerCertificate(
  ca: CertificateAuthority,
  options: LeafOptions & { readonly names: readonly string[] },
): Promise<IssuedCertificate> {
  if (options.names.length > 0) return generateLeaf(ca, x509.ExtendedKeyUsage.serverAuth, options)
  throw new TrustError('trust.certificate_bad', {
    what: 'a server certificate needs a name',
    fix: 'give the addresses under which peers reach this node',
  })
}

/** What a node shows to those it connects to, a year, or as long as its signer's. @throws TrustError trust.certificate_bad */
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
  options: LeafOptions & { readonly days?: number },
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
      ...validityUnder(signer.certificate, options.days ?? LEAF_DAYS, options.clock),
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
  throw new TrustError('trust.certificate_bad', {
    what: 'a certificate cannot hold this name',
    values: { name: name.slice(0, 253) },
    fix: 'give an IP address or a DNS name, without a port',
  })
}
