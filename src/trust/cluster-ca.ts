import { webcrypto } from 'node:crypto'
import 'reflect-metadata' // which the next one needs to be there first
import * as x509 from '@peculiar/x509'
import type { Clock } from '#base'
import { TrustError } from './errors.ts'
import {
  type CertificateAuthority,
  generateKeys,
  issued,
  newSerial,
  readAuthority,
  SIGNING,
  validity,
  validityUnder,
} from './issuing.ts'

const CA_DAYS = 5 * 365
const JOINING_DAYS = 365

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
 * @throws TrustError trust.certificate_bad: also when the cluster's may sign for hosts alone
 */
export async function generateJoiningCa(
  ca: CertificateAuthority,
  options: { clock?: Clock } = {},
): Promise<CertificateAuthority> {
  const signer = await readAuthority(ca)
  if (!mayMakeAuthorities(ca.certificatePem)) {
    throw new TrustError('trust.certificate_bad', {
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
