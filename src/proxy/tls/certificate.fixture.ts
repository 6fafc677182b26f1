import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Certificate, Certificates } from '../certificates.ts'

/** A self-signed ECDSA certificate for `name`. */
export function makeCertificate(name: string): Certificate {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-certificate-'))
  try {
    const kind = [
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '2',
    ]
    const names = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`]
    const files = ['-keyout', join(folder, 'key'), '-out', join(folder, 'chain')]
    execFileSync('openssl', ['req', '-x509', ...kind, ...names, ...files], { stdio: 'ignore' })
    return {
      chain: readFileSync(join(folder, 'chain'), 'utf8'),
      key: readFileSync(join(folder, 'key'), 'utf8'),
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** One certificate for `name`, and one for its ACME challenge. */
export function certificatesFor(name: string, certificate: Certificate): Certificates {
  return {
    find: (wanted) => (wanted === name ? certificate : undefined),
    challenge: (wanted) => (wanted === name ? certificate : undefined),
  }
}
