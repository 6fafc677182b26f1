import { DatabaseSync } from 'node:sqlite'
import { AccountsError } from './errors.ts'

const BUSY_MS = 5_000

/**
 * One step a version, never changed once released. `AUTOINCREMENT` where tokens name the id: one that
 * was given twice would let old tokens into new apps.
 */
const migrations: readonly string[] = [
  `
CREATE TABLE organizations (
  id INTEGER PRIMARY KEY AUTOINCREMENT, slug TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL) STRICT;
CREATE TABLE users (
  id INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT NOT NULL UNIQUE,
  created_at_ms INTEGER NOT NULL) STRICT;
CREATE TABLE members (
  organization INTEGER NOT NULL REFERENCES organizations, user INTEGER NOT NULL REFERENCES users,
  role TEXT NOT NULL, PRIMARY KEY (organization, user)) STRICT, WITHOUT ROWID;
CREATE TABLE networks (
  id INTEGER PRIMARY KEY AUTOINCREMENT, organization INTEGER NOT NULL REFERENCES organizations,
  name TEXT NOT NULL, UNIQUE (organization, name)) STRICT;
CREATE TABLE apps (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,
  organization INTEGER NOT NULL REFERENCES organizations, network INTEGER NOT NULL REFERENCES networks,
  created_at_ms INTEGER NOT NULL, secrets_version INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE app_secrets (
  app INTEGER NOT NULL REFERENCES apps ON DELETE CASCADE, name TEXT NOT NULL,
  digest TEXT NOT NULL, sealed BLOB NOT NULL, -- of the value; context secret:<app>:<name>
  created_at_ms INTEGER NOT NULL, updated_at_ms INTEGER NOT NULL,
  PRIMARY KEY (app, name)) STRICT, WITHOUT ROWID;
CREATE TABLE digest_keys (
  app INTEGER PRIMARY KEY REFERENCES apps ON DELETE CASCADE,
  sealed BLOB NOT NULL) STRICT; -- context digest:<app>
CREATE TABLE addresses (
  app INTEGER NOT NULL REFERENCES apps ON DELETE CASCADE, ip TEXT NOT NULL, kind TEXT NOT NULL,
  region TEXT NOT NULL, created_at_ms INTEGER NOT NULL, PRIMARY KEY (app, ip)) STRICT;
CREATE UNIQUE INDEX addresses_own ON addresses (ip) WHERE kind <> 'shared_v4';
CREATE TABLE root_keys (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, kid BLOB NOT NULL UNIQUE,
  organization INTEGER NOT NULL REFERENCES organizations,
  sealed BLOB, -- context root:<organization>:<kid>; null once retired
  created_at_ms INTEGER NOT NULL, retired_at_ms INTEGER) STRICT;
CREATE TABLE tokens (
  uuid TEXT PRIMARY KEY, organization INTEGER NOT NULL REFERENCES organizations,
  app TEXT, app_id INTEGER, name TEXT NOT NULL, profile TEXT NOT NULL, kid BLOB NOT NULL,
  created_by TEXT NOT NULL, created_at_ms INTEGER NOT NULL, expires_at_ms INTEGER) STRICT;
CREATE INDEX tokens_of_organization ON tokens (organization);
CREATE INDEX tokens_of_app ON tokens (app_id);
CREATE TABLE revocations (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE,
  revoked_at_ms INTEGER NOT NULL) STRICT;
CREATE TABLE audit (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, who TEXT NOT NULL,
  request_id TEXT NOT NULL, operation TEXT NOT NULL, target TEXT NOT NULL, result TEXT NOT NULL,
  chain TEXT NOT NULL) STRICT; -- SHA-256 of the former chain and this entry
CREATE INDEX audit_by_who ON audit (who);
CREATE TRIGGER audit_keeps BEFORE DELETE ON audit BEGIN
  SELECT RAISE(ABORT, 'the audit log only grows'); END;
CREATE TRIGGER audit_stays BEFORE UPDATE ON audit BEGIN
  SELECT RAISE(ABORT, 'the audit log only grows'); END;
`,
  `
CREATE TABLE releases (
  id TEXT PRIMARY KEY, app INTEGER NOT NULL REFERENCES apps ON DELETE CASCADE,
  version INTEGER NOT NULL, status TEXT NOT NULL, strategy TEXT NOT NULL, image TEXT NOT NULL,
  definition TEXT NOT NULL, error TEXT NOT NULL DEFAULT '', created_by TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL, updated_at_ms INTEGER NOT NULL,
  UNIQUE (app, version)) STRICT;
`,
  `
ALTER TABLE apps ADD COLUMN role TEXT NOT NULL DEFAULT '';
ALTER TABLE apps ADD COLUMN idempotency_key TEXT;
CREATE UNIQUE INDEX apps_once ON apps (organization, idempotency_key);
CREATE TABLE machine_names (
  app INTEGER NOT NULL REFERENCES apps ON DELETE CASCADE, name TEXT NOT NULL, machine TEXT NOT NULL,
  until_ms INTEGER NOT NULL, PRIMARY KEY (app, name)) STRICT, WITHOUT ROWID;
CREATE INDEX machine_names_end ON machine_names (until_ms);
`,
  `
CREATE TABLE hostnames (
  name TEXT PRIMARY KEY, app INTEGER NOT NULL REFERENCES apps ON DELETE CASCADE,
  created_at_ms INTEGER NOT NULL) STRICT;
CREATE INDEX hostnames_of_app ON hostnames (app);
`,
  `
CREATE TABLE secret_keys (
  app INTEGER NOT NULL REFERENCES apps ON DELETE CASCADE, name TEXT NOT NULL, type TEXT NOT NULL,
  public_key BLOB, sealed BLOB NOT NULL, -- context secret-key:<app>:<name>
  created_at_ms INTEGER NOT NULL, updated_at_ms INTEGER NOT NULL,
  PRIMARY KEY (app, name)) STRICT, WITHOUT ROWID;
CREATE TABLE identity_keys (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, kid TEXT NOT NULL UNIQUE, public_jwk TEXT NOT NULL,
  sealed BLOB NOT NULL, created_at_ms INTEGER NOT NULL) STRICT; -- context identity:<kid>
`,
  `
CREATE TABLE wireguard_peers (
  public_key TEXT PRIMARY KEY, organization INTEGER NOT NULL REFERENCES organizations,
  network INTEGER NOT NULL REFERENCES networks, name TEXT NOT NULL, gateway TEXT NOT NULL,
  region TEXT NOT NULL, slot INTEGER NOT NULL, peer_ip TEXT NOT NULL UNIQUE,
  created_at_ms INTEGER NOT NULL,
  UNIQUE (organization, name), UNIQUE (network, gateway, slot)) STRICT;
`,
  `
CREATE TABLE ssh_authorities (
  organization INTEGER PRIMARY KEY REFERENCES organizations,
  sealed BLOB NOT NULL, -- the seed of an Ed25519 key; context ssh:<organization>
  public_key BLOB NOT NULL, created_at_ms INTEGER NOT NULL) STRICT;
`,
  `
ALTER TABLE hostnames ADD COLUMN wants_acme INTEGER NOT NULL DEFAULT 1;
CREATE TABLE custom_certificates (
  hostname TEXT PRIMARY KEY REFERENCES hostnames ON DELETE CASCADE, chain_pem TEXT NOT NULL,
  sealed BLOB NOT NULL, -- the private key; context certificate:<hostname>
  not_before_ms INTEGER NOT NULL, not_after_ms INTEGER NOT NULL,
  created_at_ms INTEGER NOT NULL) STRICT;
`,
  `
CREATE TABLE join_tokens (
  id TEXT PRIMARY KEY, secret_digest BLOB NOT NULL, -- SHA-256
  roles TEXT NOT NULL, region TEXT NOT NULL, host TEXT, ip TEXT, replaces INTEGER NOT NULL,
  uses_max INTEGER NOT NULL, created_by TEXT NOT NULL, created_at_ms INTEGER NOT NULL,
  expires_at_ms INTEGER NOT NULL, revoked_at_ms INTEGER) STRICT;
CREATE TABLE join_uses (
  token TEXT NOT NULL REFERENCES join_tokens, host TEXT NOT NULL, ip TEXT NOT NULL,
  nkey TEXT NOT NULL, used_at_ms INTEGER NOT NULL, PRIMARY KEY (token, host)) STRICT;
`,
  `
ALTER TABLE tokens ADD COLUMN user INTEGER REFERENCES users; -- who got it by logging in
CREATE TABLE logins (
  secret_hash TEXT PRIMARY KEY, code TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
  user INTEGER REFERENCES users, -- null until it is confirmed
  until_ms INTEGER NOT NULL) STRICT;
CREATE INDEX logins_end ON logins (until_ms);
`,
  `
CREATE TABLE network_policies (
  id TEXT PRIMARY KEY, app INTEGER NOT NULL REFERENCES apps ON DELETE CASCADE, name TEXT NOT NULL,
  selector TEXT NOT NULL, rules TEXT NOT NULL, -- JSON
  created_at_ms INTEGER NOT NULL, updated_at_ms INTEGER NOT NULL, UNIQUE (app, name)) STRICT;
`,
  `
ALTER TABLE organizations ADD COLUMN is_operator INTEGER NOT NULL DEFAULT 0;
`,
  `
ALTER TABLE releases ADD COLUMN until_ms INTEGER; -- by when its client is heard of again, while it is under way
`,
]

/** The database at the newest version. @throws AccountsError accounts.schema_newer */
export function openDatabase(path: string): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: BUSY_MS })
  try {
    database.exec(`
      PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
      PRAGMA secure_delete = ON;`)
    inTransaction(database, () => migrate(database, path))
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

function migrate(database: DatabaseSync, path: string): void {
  const version = Number(database.prepare('PRAGMA user_version').get()?.['user_version'])
  if (version > migrations.length) {
    throw new AccountsError('accounts.schema_newer', {
      what: 'a newer godwit wrote this database',
      values: { path, version, known: migrations.length },
      fix: 'use that version of godwit, or a backup from before',
    })
  }
  for (const step of migrations.slice(version)) database.exec(step)
  database.exec(`PRAGMA user_version = ${migrations.length}`)
}

/** All or nothing. */
export function inTransaction<Result>(database: DatabaseSync, work: () => Result): Result {
  database.exec('BEGIN IMMEDIATE')
  try {
    const result = work()
    database.exec('COMMIT')
    return result
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK')
    throw error
  }
}
