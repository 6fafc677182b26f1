import type { DatabaseSync } from 'node:sqlite'
import type { Accounts, CustomCertificate } from '#accounts'
import type { Statement } from './app-rows.ts'

/** Seals private keys so that only edges open them. */
export interface EdgeSeal {
  seal(hostname: string, key: string): Uint8Array
  isNewest(sealed: Uint8Array): boolean
}

export interface CertificateRowsOptions {
  readonly accounts: Accounts
  /** A replica with the platform's schema. Only read. */
  readonly database: DatabaseSync
  readonly hostId: string
  /** Absent: this gateway leaves the certificates that people brought to others. */
  readonly edgeSeal?: EdgeSeal | undefined
  /** The key of one cannot be opened or sealed: its row stays as it is, and the others go on. @default throws */
  readonly onBroken?: (hostname: string, error: unknown) => void
}

interface Wanted {
  readonly appId: string
  readonly createdAtMs: number
  readonly wantsAcme: boolean
  readonly custom: CustomCertificate | undefined
}

/**
 * What makes the rows of `certs` and `custom_certs` say what the accounts say.
 *
 * `certs`: a name that has no row gets one, which says that a certificate is wanted; edges of the proxy write their own with
 * what they got, or take this one where they are on the same host. A name that an app gave up, or wants none for any more,
 * loses all rows, the edges' too, which would renew it for ever. Names of no app are the platform's own, and left alone.
 *
 * `custom_certs`: what somebody brought, its key sealed for the edges; an empty row for a name that has no certificate
 * and is not to get one, so that it stays the app's.
 */
export function certificateChanges(options: CertificateRowsOptions): Map<string, Statement> {
  const { accounts } = options
  const wanted = new Map<string, Wanted>()
  for (const { slug } of accounts.organizations()) {
    for (const { id, name } of accounts.apps(slug)) {
      for (const { hostname, ...one } of accounts.hostnames(name)) {
        wanted.set(hostname, { ...one, appId: String(id) })
      }
    }
  }
  return new Map([...acmeChanges(options, wanted), ...customChanges(options, wanted)])
}

function acmeChanges(
  { database, hostId }: CertificateRowsOptions,
  names: ReadonlyMap<string, Wanted>,
): Map<string, Statement> {
  const wanted = new Map([...names].filter(([, { wantsAcme }]) => wantsAcme))
  const stored = database
    .prepare(`SELECT DISTINCT hostname, app_id FROM certs WHERE app_id <> ''`)
    .all()
    .map((row) => ({ hostname: String(row['hostname']), appId: String(row['app_id']) }))
  const found = new Map<string, Statement>()
  for (const { hostname, appId } of stored) {
    if (wanted.get(hostname)?.appId === appId) wanted.delete(hostname)
    else found.set(`certs ${hostname} ${appId}`, [REMOVE, [hostname, appId]])
  }
  for (const [hostname, { appId, createdAtMs }] of wanted) {
    found.set(`certs ${hostname}`, [WANT, [hostname, hostId, appId, createdAtMs]])
  }
  return found
}

function customChanges(
  options: CertificateRowsOptions,
  names: ReadonlyMap<string, Wanted>,
): Map<string, Statement> {
  const { database, hostId, edgeSeal } = options
  const stored = new Map(
    database
      .prepare('SELECT hostname, app_id, chain_pem, sealed_key FROM custom_certs')
      .all()
      .map((row) => [String(row['hostname']), row]),
  )
  const found = new Map<string, Statement>()
  for (const [hostname, { appId, wantsAcme, custom, createdAtMs }] of names) {
    if (custom === undefined && wantsAcme) continue
    const there = stored.get(hostname)
    stored.delete(hostname)
    const { chain = '', notBeforeMs = 0, notAfterMs = 0 } = custom ?? {}
    const sealed = there?.['sealed_key'] as Uint8Array | null | undefined
    const isSealed =
      custom === undefined || edgeSeal === undefined || (sealed && edgeSeal.isNewest(sealed))
    if (there?.['app_id'] === appId && there['chain_pem'] === chain && isSealed) continue
    if (custom !== undefined && edgeSeal === undefined) continue
    const own = custom === undefined ? null : sealedKey(options, hostname)
    if (own === undefined) continue
    const updatedAtMs = custom?.createdAtMs ?? createdAtMs
    const values = [hostname, hostId, appId, chain, own, notBeforeMs, notAfterMs, updatedAtMs]
    found.set(`custom_certs ${hostname}`, [PUT_CUSTOM, values])
  }
  for (const hostname of stored.keys()) {
    found.set(`custom_certs ${hostname}`, [REMOVE_CUSTOM, [hostname]])
  }
  return found
}

/** Null: there is none. Undefined: it is broken, and was told. */
function sealedKey(
  { accounts, edgeSeal, onBroken }: CertificateRowsOptions,
  hostname: string,
): Uint8Array | null | undefined {
  try {
    const key = accounts.customCertificateKey(hostname)
    return key === undefined || edgeSeal === undefined ? null : edgeSeal.seal(hostname, key)
  } catch (error) {
    if (onBroken === undefined) throw error
    onBroken(hostname, error)
    return undefined
  }
}

const REMOVE = 'DELETE FROM certs WHERE hostname = ? AND app_id = ?'
const WANT = `INSERT INTO certs (hostname, host_id, app_id, updated_at) VALUES (?, ?, ?, ?)
  ON CONFLICT (hostname, host_id) DO UPDATE SET app_id = excluded.app_id`
const REMOVE_CUSTOM = 'DELETE FROM custom_certs WHERE hostname = ?'
const PUT_CUSTOM = `INSERT INTO custom_certs
  (hostname, host_id, app_id, chain_pem, sealed_key, not_before, not_after, updated_at)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (hostname) DO UPDATE SET
  host_id = excluded.host_id, app_id = excluded.app_id, chain_pem = excluded.chain_pem,
  sealed_key = excluded.sealed_key, not_before = excluded.not_before,
  not_after = excluded.not_after, updated_at = excluded.updated_at`
