import {
  attenuate,
  type Caveat,
  mint,
  PERMISSION_LOCATION,
  printMacaroon,
  tokenUuid,
} from '#macaroon'
import type { Accounts } from './accounts.ts'
import { requireApp } from './apps.ts'
import { badInput } from './errors.ts'
import { requireOrganization } from './organizations.ts'
import { signingKey } from './root-keys.ts'
import type { Store } from './store.ts'
import type { IssuedToken, NewToken } from './token.ts'
import { caveatsFor, keyUseCaveats, TOKEN_PROFILES, type TokenProfile } from './token-profile.ts'

const EXPIRES_IN_S_MAX = 100 * 365 * 86_400

const SELECT = `SELECT tokens.*, revoked_at_ms FROM tokens LEFT JOIN revocations USING (uuid)`

export const tokenReads = (
  store: Store,
): Pick<Accounts, 'tokens' | 'machineToken' | 'keyToken' | 'userOfToken'> => ({
  machineToken({ app, machine, expiresInS }) {
    const { id: appId, organization } = requireApp(store, app)
    const window = windowOf({ expiresInS }, store.clock.nowMs())
    const scope = { organizationId: organization.id, appId, machine, commands: undefined, window }
    const [narrowed = []] = caveatsFor('machine', scope)
    const { kid, key } = signingKey(store, organization.id)
    const root = mint({ key, kid, location: PERMISSION_LOCATION, random: store.random })
    const fromItself: Caveat = { type: 'FromMachineSource', body: { id: machine } }
    return `FlyV1 ${printMacaroon(attenuate(root, [...narrowed, fromItself]))}`
  },
  keyToken({ app, expiresInS }) {
    const { id: appId, organization } = requireApp(store, app)
    const window = windowOf({ expiresInS }, store.clock.nowMs())
    const caveats = keyUseCaveats({ organizationId: organization.id, appId, window })
    const { kid, key } = signingKey(store, organization.id)
    const root = mint({ key, kid, location: PERMISSION_LOCATION, random: store.random })
    return `FlyV1 ${printMacaroon(attenuate(root, caveats))}`
  },
  userOfToken: (uuid) => userOfToken(store, uuid),
  tokens: (organization) =>
    store.database
      .prepare(`${SELECT} WHERE organization = ? ORDER BY created_at_ms DESC, uuid`)
      .all(requireOrganization(store, organization).id)
      .map(issuedOf),
})

const userOfToken = (store: Store, uuid: string): string | undefined => {
  const row = store.database
    .prepare('SELECT email FROM tokens JOIN users ON users.id = tokens.user WHERE uuid = ?')
    .get(uuid)
  return row && String(row['email'])
}

export const tokenWrites = (store: Store): Pick<Accounts, 'createToken'> => ({
  createToken(call, input) {
    const { id } = requireOrganization(store, input.organization)
    const appId = appIdOf(store, id, input)
    const nowMs = store.clock.nowMs()
    const window = windowOf(input, nowMs)
    checkProfile(input.profile)
    const caveats = caveatsFor(input.profile, {
      organizationId: id,
      appId,
      machine: input.machine,
      commands: input.commands,
      window,
    })
    const { kid, key } = signingKey(store, id)
    const root = mint({ key, kid, location: PERMISSION_LOCATION, random: store.random })
    const uuid = tokenUuid(root.nonce)
    store.database
      .prepare(
        `INSERT INTO tokens (uuid, organization, app, app_id, name, profile, kid, created_by,
           created_at_ms, expires_at_ms, user)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, (SELECT id FROM users WHERE email = ?))`,
      )
      .run(
        uuid,
        id,
        input.app ?? null,
        appId ?? null,
        (input.name ?? `${input.profile} token`).slice(0, NAME_CHARS_MAX),
        input.profile,
        kid,
        call.who,
        nowMs,
        window === undefined ? null : window.notAfter * 1000,
        input.user ?? null,
      )
    const row = store.database.prepare(`${SELECT} WHERE uuid = ?`).get(uuid)
    const texts = caveats.map((own) => printMacaroon(attenuate(root, own)))
    return { ...issuedOf(row ?? {}), header: `FlyV1 ${texts.join(',')}` }
  },
})

const NAME_CHARS_MAX = 128

function appIdOf(store: Store, organization: number, { app }: NewToken): number | undefined {
  if (app === undefined) return undefined
  const found = requireApp(store, app)
  if (found.organization.id === organization) return found.id
  throw badInput(
    'the app is of another organisation',
    { app, organization: found.organization.slug },
    'name the organisation of the app',
  )
}

function checkProfile(profile: TokenProfile): void {
  if (TOKEN_PROFILES.includes(profile)) return
  throw badInput('no such profile', { profile }, `use ${TOKEN_PROFILES.join(', ')}`)
}

/** Clocks of verifiers may be a little behind: the window begins a minute ago. */
const SKEW_S = 60

function windowOf({ expiresInS }: Pick<NewToken, 'expiresInS'>, nowMs: number) {
  if (expiresInS === undefined) return undefined
  if (Number.isSafeInteger(expiresInS) && expiresInS > 0 && expiresInS <= EXPIRES_IN_S_MAX) {
    const nowS = Math.floor(nowMs / 1000)
    return { notBefore: nowS - SKEW_S, notAfter: nowS + expiresInS }
  }
  throw badInput(
    'a token can not expire then',
    { expiresInS, limit: EXPIRES_IN_S_MAX },
    'give whole seconds, more than 0',
  )
}

const issuedOf = (row: Record<string, unknown>): IssuedToken => ({
  uuid: String(row['uuid']),
  name: String(row['name']),
  profile: row['profile'] as TokenProfile,
  app: row['app'] === null ? undefined : String(row['app']),
  kid: Buffer.from(row['kid'] as Uint8Array).toString('hex'),
  createdBy: String(row['created_by']),
  createdAtMs: Number(row['created_at_ms']),
  expiresAtMs: row['expires_at_ms'] === null ? undefined : Number(row['expires_at_ms']),
  revokedAtMs: row['revoked_at_ms'] === null ? undefined : Number(row['revoked_at_ms']),
})
