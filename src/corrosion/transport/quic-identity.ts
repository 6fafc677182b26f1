import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import type { Quiche } from '@matrixai/quic/native/quiche.js'
import type { Config } from '@matrixai/quic/native/types.js'
import { certificatesIn, rootAmong } from '#trust'
import { TransportError } from './errors.ts'
import { type ClusterTls, quicConfig } from './quic-config.ts'

/** OIDs of what a certificate may be shown for (RFC 5280, section 4.2.1.12). */
const PURPOSES = { server: '1.3.6.1.5.5.7.3.1', client: '1.3.6.1.5.5.7.3.2' } as const

/** What this node shows, and whom it trusts: one set of TLS files. Connections keep the one that they began with. */
export class QuicIdentity {
  readonly server: Config
  readonly client: Config
  readonly #authorities: readonly X509Certificate[]

  /** @throws TransportError transport.certificate_bad */
  constructor(quiche: Quiche, tls: ClusterTls) {
    this.#authorities = certificatesOf(tls.caPem, 'ca')
    this.server = quicConfig(quiche, tls, 'server')
    this.client = quicConfig(quiche, tls, 'client')
  }

  /** Whether its authorities signed what a peer showed. @param chain DER, the peer's own first */
  trusts(chain: readonly Uint8Array[], nowMs: number): boolean {
    try {
      const certificates = chain.map((der) => new X509Certificate(der))
      return rootAmong(certificates, this.#authorities, nowMs) !== undefined
    } catch {
      return false // one that OpenSSL cannot read is of nobody
    }
  }

  /** Whether the other one trusts an authority that this one does not. */
  hasDroppedOf(other: QuicIdentity): boolean {
    const isKept = ({ raw }: X509Certificate) =>
      this.#authorities.some((authority) => authority.raw.equals(raw))
    return !other.#authorities.every(isKept)
  }
}

/**
 * Whether peers with the same authorities will take this node for a member: files that are being replaced one after the
 * other do not fit for a while. @throws TransportError transport.certificate_bad: they will not
 */
export function checkTls(tls: ClusterTls, nowMs: number): void {
  const authorities = certificatesOf(tls.caPem, 'ca')
  for (const role of ['server', 'client'] as const) {
    const chain = certificatesOf(tls[role].certificatePem, role)
    const [leaf] = chain
    if (leaf?.checkPrivateKey(readKey(tls[role].privateKeyPem, role)) !== true) {
      throw unfit(role, 'its private key is of another certificate')
    }
    if (leaf.keyUsage?.includes(PURPOSES[role]) === false) {
      throw unfit(role, 'it is for another purpose')
    }
    if (rootAmong(chain, authorities, nowMs) === undefined) {
      throw unfit(role, 'no authority of the CA file has signed it, or it is not in date')
    }
  }
}

/** @throws TransportError transport.certificate_bad */
function certificatesOf(pem: string, of: 'ca' | 'server' | 'client'): X509Certificate[] {
  try {
    return certificatesIn(pem)
  } catch (cause) {
    throw unfit(of, 'it cannot be read', cause)
  }
}

function readKey(pem: string, role: 'server' | 'client'): KeyObject {
  try {
    return createPrivateKey(pem)
  } catch (cause) {
    throw unfit(role, 'its private key cannot be read', cause)
  }
}

const unfit = (role: 'ca' | 'server' | 'client', reason: string, cause?: unknown) =>
  new TransportError('transport.certificate_bad', {
    what: 'a certificate of this node does not fit the other TLS files',
    values: { certificate: role, reason },
    fix: 'put the certificate, its key and the CA that belong together there',
    ...(cause === undefined ? {} : { cause }),
  })
