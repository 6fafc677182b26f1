import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { errorCode } from '#base'
import type { Certificate } from '../certificates.ts'
import { CertificateError } from './errors.ts'
import { issueCertificate, makeAuthority } from './issue-certificate.ts'

const CA_DAYS = 10 * 365
const LEAF_DAYS = 90

/**
 * The authority of a planet or a trial installation, in a folder: `ca.pem` to install where it is to be trusted,
 * `ca-key.pem` for nobody else. Made when there is none.
 *
 * @throws CertificateError certificates.ca_bad; what the system says of the folder
 */
export async function openLocalAuthority(folder: string, nowMs: number): Promise<Certificate> {
  const known = readLocalAuthority(folder)
  if (known !== undefined) return known
  const made = await makeAuthority('Godwit local CA', CA_DAYS, nowMs)
  return keepUnlessThere(folder, made)
}

/** Several hosts may open one folder at a time: the first to be done makes it, and all others take what it made. */
function keepUnlessThere(folder: string, made: Certificate): Certificate {
  mkdirSync(dirname(folder), { recursive: true })
  const draft = mkdtempSync(`${folder}.new-`) // of mode 700
  writeFileSync(join(draft, 'ca-key.pem'), made.key, { mode: 0o600 })
  writeFileSync(join(draft, 'ca.pem'), made.chain, { mode: 0o644 })
  try {
    renameSync(draft, folder) // also over one that is empty
    return made
  } catch (error) {
    const isThere = ['ENOTEMPTY', 'EEXIST'].includes(errorCode(error) ?? '')
    const known = isThere ? readLocalAuthority(folder) : undefined
    if (known === undefined) throw error
    return known
  } finally {
    rmSync(draft, { recursive: true, force: true })
  }
}

/** Undefined: there is none. @throws CertificateError certificates.ca_bad */
export function readLocalAuthority(folder: string): Certificate | undefined {
  try {
    const chain = readFileSync(join(folder, 'ca.pem'), 'utf8')
    return { chain, key: readFileSync(join(folder, 'ca-key.pem'), 'utf8') }
  } catch (cause) {
    if (errorCode(cause) === 'ENOENT') return undefined
    throw new CertificateError('certificates.ca_bad', {
      what: 'the local authority cannot be read',
      values: { folder },
      fix: 'run as its owner, or remove the folder to make a new one',
      cause,
    })
  }
}

/** A certificate of the local authority for a name, 90 days. */
export const issueLocally = (
  authority: Certificate,
  names: readonly string[],
  nowMs: number,
): Promise<Certificate> => issueCertificate(authority, names, LEAF_DAYS, nowMs)
