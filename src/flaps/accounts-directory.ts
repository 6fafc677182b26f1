import type { Accounts, App as AccountsApp, Organization as Org } from '#accounts'
import { errorCode, type Log, type Random } from '#base'
import type { Verifier } from '#macaroon'
import { type AddressPools, pickAddress } from './address-pool.ts'
import type { Address, App, AppAddresses, Author, Directory, Organization } from './directory.ts'
import { refuse } from './errors.ts'

export interface AccountsDirectoryOptions {
  readonly accounts: Accounts
  readonly verifier: Verifier
  readonly pools: AddressPools
  readonly random: Random
  /** Calls that changed no account are in nobody's log but this one. */
  readonly log: Log
}

/**
 * Accounts as the API uses them. They know no roles of apps and no idempotency keys yet, and record
 * their own changes.
 */
export function accountsDirectory(options: AccountsDirectoryOptions): Directory {
  const { accounts, verifier, log } = options
  return {
    verifier,
    async organization(slug) {
      const found = accounts.organization(slug)
      return found && organizationOf(found)
    },
    async organizationOfToken(id) {
      const found = accounts.organizationByNumber(Number(id))
      return found && organizationOf(found)
    },
    async app(name) {
      const found = accounts.app(name)
      return found && appOf(found)
    },
    async apps({ slug }) {
      const organization = accounts.organization(slug)
      return organization === undefined ? [] : accounts.apps(organization.slug).map(appOf)
    },
    async createApp({ name, organization, network }, by) {
      const input = {
        organization: organization.slug,
        app: name,
        ...(network === '' ? {} : { network }),
      }
      return appOf(orNameTaken(() => accounts.createApp(callOf(by), input)))
    },
    async deleteApp({ name }, by) {
      accounts.deleteApp(callOf(by), { app: name })
    },
    async createDeployToken({ name, organization }, { expiresInS }, by) {
      const { header } = accounts.createToken(callOf(by), {
        organization: organization.slug,
        profile: 'deploy',
        app: name,
        ...(expiresInS === undefined ? {} : { expiresInS }),
      })
      return header
    },
    secrets: {
      async list({ name }, { minVersion }) {
        const { version, secrets } = accounts.secrets(nameOf(accounts, name))
        if (version >= minVersion) return secrets
        throw refuse(
          'flaps.deadline_exceeded',
          `deadline_exceeded: secrets version ${minVersion} is not here yet`,
        )
      },
      set: async ({ name }, values, by) => accounts.setSecrets(callOf(by), { app: name, values }),
    },
    addresses: addressesOf(options),
    record: (entry) => log.info({ audit: entry }, 'call'),
  }
}

function addressesOf({ accounts, pools, random }: AccountsDirectoryOptions): AppAddresses {
  return {
    list: async ({ name }) => accounts.addresses(nameOf(accounts, name)).map(addressOf),
    async assign({ name }, { kind, region }, by) {
      if (kind === 'egress_pair') throw refuse('flaps.unprocessable', `no ${kind} address is free`)
      const others = accounts.organizations().flatMap(({ slug }) => accounts.apps(slug))
      const taken = new Set(
        others.flatMap((app) => accounts.addresses(app.name).map(({ ip }) => ip)),
      )
      const ip = pickAddress(pools, kind, { random, isTaken: (one) => taken.has(one) })
      const input = { app: name, ip, kind, region: region || 'global' }
      return [addressOf(accounts.assignAddress(callOf(by), input))]
    },
    async release({ name }, ip, by) {
      try {
        accounts.releaseAddress(callOf(by), { app: name, ip })
        return true
      } catch (error) {
        if (errorCode(error) === 'accounts.not_found') return false
        throw error
      }
    },
  }
}

const callOf = ({ who, requestId }: Author) => ({ who, requestId })

/** The name as accounts have checked it. @throws FlapsError flaps.not_found: deleted meanwhile */
function nameOf(accounts: Accounts, name: string): AccountsApp['name'] {
  const app = accounts.app(name)
  if (app !== undefined) return app.name
  throw refuse('flaps.not_found', `Could not find App "${name}"`)
}

function orNameTaken<T>(create: () => T): T {
  try {
    return create()
  } catch (error) {
    if (errorCode(error) !== 'accounts.taken') throw error
    const text = 'Validation failed: Name has already been taken'
    throw refuse('flaps.app_name_taken', text, error)
  }
}

const organizationOf = ({ id, slug, name }: Org): Organization => ({
  id: String(id),
  numericId: id,
  slug,
  name,
})

const appOf = (app: AccountsApp): App => ({
  id: String(app.id),
  numericId: app.id,
  name: app.name,
  organization: organizationOf(app.organization),
  network: app.network,
  networkId: app.networkId,
  role: '',
  createdAtMs: app.createdAtMs,
})

const addressOf = (address: {
  readonly ip: string
  readonly kind: Address['kind']
  readonly region: string
  readonly createdAtMs: number
}): Address => ({ ...address, serviceName: '', network: undefined })
