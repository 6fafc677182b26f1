import { Ed25519Key, issueCertificate, parsePublicLine } from '#ssh'
import type { Accounts } from './accounts.ts'
import { requireApp } from './apps.ts'
import type { Call } from './call.ts'
import { badInput } from './errors.ts'
import { requireOrganization } from './organizations.ts'
import type { NewSshCertificate } from './ssh-certificate.ts'
import type { Store } from './store.ts'

const SEED_BYTES = 32
const NONCE_BYTES = 32
const SERIAL_BYTES = 8
/** Before the time of issue, for clocks that are behind. */
const EARLY_S = 60
const HOUR_S = 3600
const HOURS_MAX = 72
const PRINCIPAL = /^[a-z_][a-z0-9_-]{0,31}$/i
const PRINCIPALS_MAX = 16

export const sshReads = (store: Store): Pick<Accounts, 'sshAuthority'> => ({
  sshAuthority(organization) {
    const { id } = requireOrganization(store, organization)
    const row = store.database
      .prepare('SELECT public_key FROM ssh_authorities WHERE organization = ?')
      .get(id)
    return row && Buffer.from(row['public_key'] as Uint8Array)
  },
})

export const sshWrites = (store: Store): Pick<Accounts, 'issueSshCertificate'> => ({
  issueSshCertificate(call, input) {
    const { hours, principals } = checked(input)
    const publicKey = parsePublicLine(input.publicKey)
    const { id } = requireOrganization(store, input.organization)
    const apps = input.app === undefined ? [] : [String(requireApp(store, input.app).id)]
    const nowS = Math.floor(store.clock.nowMs() / 1000)
    const validBeforeS = nowS + hours * HOUR_S
    const content = {
      ...{ publicKey, principals, apps, validAfterS: nowS - EARLY_S, validBeforeS },
      serial: Buffer.from(store.random.bytes(SERIAL_BYTES)).readBigUInt64BE(),
      keyId: keyIdOf(call, input),
    }
    const nonce = store.random.bytes(NONCE_BYTES)
    const certificate = issueCertificate(authorityOf(store, id), content, nonce)
    return { certificate, expiresAtMs: validBeforeS * 1000 }
  },
})

function checked({ validHours: hours = 1, principals = ['root', 'fly'] }: NewSshCertificate) {
  if (!Number.isInteger(hours) || hours < 1 || hours > HOURS_MAX) {
    throw badInput('not how long a certificate may last', { hours }, `use 1 to ${HOURS_MAX} hours`)
  }
  const isGood = principals.length > 0 && principals.length <= PRINCIPALS_MAX
  if (!isGood || !principals.every((one) => PRINCIPAL.test(one))) {
    throw badInput('not names of users', { principals }, 'use names as of /etc/passwd: root, fly')
  }
  return { hours, principals }
}

/** Who asked: what hosts write into their logs when the certificate is used. */
const keyIdOf = ({ who, requestId }: Call, { organization, app }: NewSshCertificate) =>
  `${who} ${app ?? organization} ${requestId}`

/** Made with the first certificate. */
function authorityOf({ database, ring, random, clock }: Store, organization: number): Ed25519Key {
  const row = database
    .prepare('SELECT sealed FROM ssh_authorities WHERE organization = ?')
    .get(organization)
  const context = sshContext(organization)
  if (row !== undefined) return new Ed25519Key(ring.open(row['sealed'] as Uint8Array, context))
  const made = new Ed25519Key(random.bytes(SEED_BYTES))
  database
    .prepare('INSERT INTO ssh_authorities VALUES (?, ?, ?, ?)')
    .run(organization, ring.seal(made.seed, context), made.publicKey, clock.nowMs())
  return made
}

export const sshContext = (organization: number) => `ssh:${organization}`
