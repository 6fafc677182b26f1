import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import type { Quiche } from '@matrixai/quic/native/quiche.js'
import type { Config } from '@matrixai/quic/native/types.js'
import { TransportError } from './errors.ts'

/** Who we are to those that dial us, and to those that we dial. All PEM, keys are PKCS #8. */
export interface ClusterTls {
  readonly caPem: string
  readonly server: { readonly certificatePem: string; readonly privateKeyPem: string }
  readonly client: { readonly certificatePem: string; readonly privateKeyPem: string }
}

/** Other protocols, and later incompatible versions of ours, end here. */
const ALPN = 'godwit-corrosion/1'
export const IDLE_TIMEOUT_MS = 30_000
export const UDP_PAYLOAD_BYTES_MAX = 1_350
/** What a peer may have under way on one connection, unread. */
const CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024
const UNI_WINDOW_BYTES = 4 * 1024 * 1024
/** With SESSIONS_MAX below the connection's window: sessions that nobody reads leave room for frames. */
export const SESSION_WINDOW_BYTES = 256 * 1024
export const SESSIONS_MAX = 32
export const UNI_STREAMS_MAX = 16
const DATAGRAM_QUEUE = 256

/** BoringSSL's names. What cluster-ca.ts of trust makes, and what other CAs are likely to make. */
const SIGNATURES =
  'ecdsa_secp384r1_sha384:ecdsa_secp256r1_sha256:ed25519:rsa_pss_rsae_sha256:rsa_pss_rsae_sha384'

/** @throws TransportError transport.quic_missing */
export async function loadQuiche(): Promise<Quiche> {
  try {
    const { default: quiche } = await import('@matrixai/quic/native/quiche.js')
    return quiche
  } catch (cause) {
    throw new TransportError('transport.quic_missing', {
      what: 'this machine has no QUIC',
      values: { platform: process.platform, arch: process.arch },
      fix: 'run the agent where @matrixai/quic has a binary (Linux on x64)',
      cause,
    })
  }
}

/**
 * Both sides show a certificate and check the other's against the cluster's CA, and for its purpose.
 * @throws TransportError transport.certificate_bad
 */
export function quicConfig(quiche: Quiche, tls: ClusterTls, role: 'server' | 'client'): Config {
  const { certificatePem, privateKeyPem } = tls[role]
  const config = withCertificates(() =>
    quiche.Config.withBoringSslCtx(
      true,
      false,
      Buffer.from(tls.caPem),
      [Buffer.from(privateKeyPem)],
      [Buffer.from(certificatePem)],
      SIGNATURES,
    ),
  )
  config.setApplicationProtos([ALPN])
  config.setMaxIdleTimeout(IDLE_TIMEOUT_MS)
  config.setMaxRecvUdpPayloadSize(UDP_PAYLOAD_BYTES_MAX)
  config.setMaxSendUdpPayloadSize(UDP_PAYLOAD_BYTES_MAX)
  config.setInitialMaxData(CONNECTION_WINDOW_BYTES)
  config.setInitialMaxStreamDataBidiLocal(SESSION_WINDOW_BYTES)
  config.setInitialMaxStreamDataBidiRemote(SESSION_WINDOW_BYTES)
  config.setInitialMaxStreamDataUni(UNI_WINDOW_BYTES)
  config.setInitialMaxStreamsBidi(SESSIONS_MAX)
  config.setInitialMaxStreamsUni(UNI_STREAMS_MAX)
  config.setDisableActiveMigration(true)
  config.enableDgram(true, DATAGRAM_QUEUE, DATAGRAM_QUEUE)
  return config
}

function withCertificates(build: () => Config): Config {
  try {
    return build()
  } catch (cause) {
    throw new TransportError('transport.certificate_bad', {
      what: 'a certificate, its key or the CA cannot be read, or they do not belong together',
      fix: 'make them anew: godwit corrosion tls',
      cause,
    })
  }
}

/**
 * The dialled host must be named in the certificate of who answers: quiche compares DNS names only, and
 * we dial addresses. That the CA signed it has been checked by then.
 */
export function isNamed(certificateDer: Uint8Array | undefined, host: string): boolean {
  if (certificateDer === undefined) return false
  try {
    const certificate = new X509Certificate(certificateDer)
    const found = isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host)
    return found !== undefined
  } catch {
    return false // one that OpenSSL cannot read names nobody
  }
}
