import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { BaseError } from './base-error.ts'
import type { Clock } from './clock.ts'
import { followFiles } from './followed-files.ts'
import type { Log } from './log.ts'

/** PEM: the certificate of a server with those of who signed it, and its private key. */
export interface CertificateFiles {
  readonly certFile: string
  readonly keyFile: string
}

/** Of node:https or node:tls. */
export interface TlsServer {
  setSecureContext(pair: { readonly cert: Buffer; readonly key: Buffer }): void
}

/**
 * Has a server show the certificate in these files: now, and until disposed the one that was put in its place. Connections
 * that are there go on with what they began with. A pair that does not belong together, as in the middle of a copy, is told
 * and tried again, and new connections get what was there before.
 *
 * @throws BaseError base.certificate_bad; what the system says of the files
 */
export function followCertificate(
  server: TlsServer,
  files: CertificateFiles,
  { log, clock }: { log: Log; clock?: Clock },
): Disposable {
  const show = () => server.setSecureContext(readPair(files))
  const paths = [files.certFile, files.keyFile]
  // Begun before the first look: what is put there in between is not missed.
  const following = followFiles({ paths, changed: show, log, ...(clock && { clock }) })
  try {
    show()
    return following
  } catch (error) {
    following[Symbol.dispose]()
    throw error
  }
}

function readPair({ certFile, keyFile }: CertificateFiles): { cert: Buffer; key: Buffer } {
  const [cert, key] = [readFileSync(certFile), readFileSync(keyFile)]
  const bad = (what: string, more: { cause?: unknown } = {}) =>
    new BaseError('base.certificate_bad', {
      what,
      values: { certFile, keyFile },
      fix: 'put the certificate there, and the key that it was made for, both PEM',
      ...more,
    })
  let isPair: boolean
  try {
    isPair = new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))
  } catch (cause) {
    throw bad('a certificate or its private key cannot be read', { cause })
  }
  if (!isPair) throw bad('a certificate and a private key do not belong together')
  return { cert, key }
}
