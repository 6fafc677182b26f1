import { type Clock, type Random, systemClock, systemRandom } from '#base'
import type { Accounts, AccountsReads, AccountsWrites } from './accounts.ts'
import { secretReads, secretWrites } from './app-secrets.ts'
import { appReads, appWrites } from './apps.ts'
import { AuditLog, audited } from './audit-log.ts'
import { openDatabase } from './database.ts'
import { hostnameReads, hostnameWrites } from './hostnames.ts'
import { identityKeyReads, identityKeyWrites } from './identity-keys.ts'
import { tokenReads, tokenWrites } from './issued-tokens.ts'
import { joinTokenReads, joinTokenWrites } from './join-tokens.ts'
import type { KeyRing } from './key-ring.ts'
import { loginReads, loginSessions, loginWrites } from './logins.ts'
import { machineNameClaims } from './machine-names.ts'
import { organizationReads, organizationWrites } from './organizations.ts'
import { releaseReads, releaseWrites } from './releases.ts'
import { revocationReads, revocationWrites } from './revocations.ts'
import { rootKeyReads, rootKeyWrites } from './root-keys.ts'
import { secretKeyReads, secretKeyWrites } from './secret-keys/secret-keys.ts'
import { sshReads, sshWrites } from './ssh-authorities.ts'
import { wireguardReads, wireguardWrites } from './wireguard-peers.ts'

export interface AccountsOptions {
  /** A file, or `:memory:`. */
  readonly path: string
  readonly ring: KeyRing
  /** @default the machine's */
  readonly clock?: Clock
  /** @default the machine's */
  readonly random?: Random
}

/** @throws AccountsError accounts.schema_newer, and what SQLite says about the file. */
export function openAccounts(options: AccountsOptions): Accounts {
  const { ring, clock = systemClock, random = systemRandom } = options
  const database = openDatabase(options.path)
  const store = { database, ring, clock, random }
  const log = new AuditLog(database, clock)
  const reads: AccountsReads = {
    ...organizationReads(store),
    ...appReads(store),
    ...hostnameReads(store),
    ...wireguardReads(store),
    ...secretReads(store),
    ...secretKeyReads(store),
    ...releaseReads(store),
    ...rootKeyReads(store),
    ...identityKeyReads(store),
    ...joinTokenReads(store),
    ...sshReads(store),
    ...tokenReads(store),
    ...loginReads(store),
    ...revocationReads(store),
    audit: (query = {}) => log.query(query),
    auditDamage: () => log.damage(),
  }
  const writes: AccountsWrites = {
    ...organizationWrites(store),
    ...appWrites(store),
    ...hostnameWrites(store),
    ...wireguardWrites(store),
    ...secretWrites(store),
    ...secretKeyWrites(store),
    ...releaseWrites(store),
    ...rootKeyWrites(store),
    ...identityKeyWrites(store),
    ...joinTokenWrites(store),
    ...sshWrites(store),
    ...tokenWrites(store),
    ...loginWrites(store),
    ...revocationWrites(store),
  }
  const changes = audited(writes, database, log)
  return {
    ...reads,
    ...changes,
    ...machineNameClaims(store),
    ...loginSessions(store, changes.createToken),
    [Symbol.dispose]: () => database.close(),
  }
}
