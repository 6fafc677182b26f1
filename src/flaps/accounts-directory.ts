import type { Accounts, App as AccountsApp, AccountsError, Organization as Org } from '#accounts'
import { errorCode, type Log, type Random } from '#base'
import type { Verifier } from '#macaroon'
import { peerAddress } from '#net6'
import { accountsSecretKeys } from './accounts-secret-keys.ts'
import { type AddressPools, pickAddress } from './address-pool.ts'
import type {
  Address,
  App,
  AppAddresses,
  AppHostnames,
  AppNetworkPolicies,
  AppReleases,
  Author,
  Directory,
  Organization,
  OrganizationPeers,
  OrganizationTokens,
} from './directory.ts'
import { appNotFound, noAddressFree, refuse } from './errors.ts'

export interface AccountsDirectoryOptions {
  readonly accounts: Accounts
  readonly verifier: Verifier
  readonly pools: AddressPools
  readonly random: Random
  /** An app or its addresses are different now. */
  readonly changed?: () => void
  /** Calls that changed no account are in nobody's log but this one. */
  readonly log: Log
}

/** Longer than any request takes. */
const MACHINE_TOKEN_S = 300

/**
 * Accounts as the API uses them. They record their own changes.
 */
export function accountsDirectory(options: AccountsDirectoryOptions): Directory {
  const { accounts, verifier, log, changed } = options
  return {
    verifier,
    async organization(slug) {
      const found = accounts.organization(slug)
      return found && organizationOf(found)
    },
    organizations: async () => accounts.organizations().map(organizationOf),
    async createOrganization({ slug, name }, by) {
      const call = callOf(by)
      const made = accounts.createOrganization(call, {
        slug,
        ...(name === undefined ? {} : { name }),
      })
      accounts.addRootKey(call, { organization: made.slug })
      const { header } = accounts.createToken(call, { organization: made.slug, profile: 'org' })
      return { organization: organizationOf(made), token: header }
    },
    async deleteOrganization({ slug }, by) {
      accounts.deleteOrganization(callOf(by), { organization: slug })
      changed?.()
    },
    async organizationOfToken(id) {
      const found = accounts.organizationByNumber(Number(id))
      return found && organizationOf(found)
    },
    async app(name) {
      const found = accounts.app(name)
      return found && appOf(found)
    },
    async apps({ slug }, { role }) {
      const organization = accounts.organization(slug)
      const all = organization === undefined ? [] : accounts.apps(organization.slug)
      return all.filter((app) => role === undefined || app.role === role).map(appOf)
    },
    async createApp({ name, organization, network, role, idempotencyKey }, by) {
      const input = {
        organization: organization.slug,
        app: name,
        role,
        ...(network === '' ? {} : { network }),
        ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
      }
      const made = appOf(orNameTaken(() => accounts.createApp(callOf(by), input)))
      changed?.()
      return made
    },
    async deleteApp({ name }, by) {
      accounts.deleteApp(callOf(by), { app: name })
      changed?.()
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
    createKeyToken: async ({ name }, { expiresInS }) =>
      accounts.keyToken({ app: name, expiresInS }),
    createMachineToken: async ({ name }, machine) =>
      accounts.machineToken({ app: name, machine, expiresInS: MACHINE_TOKEN_S }),
    async issueSshCertificate({ organization, app, ...input }, by) {
      const of = { organization: organization.slug, ...(app && { app: app.name }) }
      return accounts.issueSshCertificate(callOf(by), { ...of, ...input })
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
    secretKeys: accountsSecretKeys(accounts),
    addresses: addressesOf(options),
    policies: policiesOf(options),
    hostnames: hostnamesOf(options),
    releases: releasesOf(options),
    peers: peersOf(options),
    tokens: tokensOf(accounts),
    record: (entry) => log.info({ audit: entry }, 'call'),
  }
}

const tokensOf = (accounts: Accounts): OrganizationTokens => ({
  list: async ({ slug }) => accounts.tokens(slug),
  create: async ({ slug }, input, by) =>
    accounts.createToken(callOf(by), { organization: slug, ...input }),
  async revoke({ slug }, uuid, by) {
    if (!accounts.tokens(slug).some((one) => one.uuid === uuid)) return false
    accounts.revokeToken(callOf(by), { uuid })
    return true
  },
})

function addressesOf(options: AccountsDirectoryOptions): AppAddresses {
  const { accounts, pools, random, changed } = options
  return {
    list: async ({ name }) => accounts.addresses(nameOf(accounts, name)).map(addressOf),
    async assign({ name }, { kind, region, network }, by) {
      if (kind === 'egress_pair') throw noAddressFree(kind)
      const others = accounts.organizations().flatMap(({ slug }) => accounts.apps(slug))
      const taken = new Set(
        others.flatMap((app) => accounts.addresses(app.name).map(({ ip }) => ip)),
      )
      const app = appIn(accounts, name)
      if (kind === 'private_v6' && network !== '' && network !== app.network) {
        const what = `unimplemented: a private address in network ${network}, which is not the app's`
        throw refuse('flaps.unprocessable', what)
      }
      const isTaken = (one: string) => taken.has(one)
      const ip = pickAddress(pools, kind, { random, isTaken, networkId: app.networkId })
      const input = { app: name, ip, kind, region: region || 'global' }
      const assigned = addressOf(accounts.assignAddress(callOf(by), input))
      changed?.()
      return [assigned]
    },
    async release({ name }, ip, by) {
      try {
        accounts.releaseAddress(callOf(by), { app: name, ip })
        changed?.()
        return true
      } catch (error) {
        if (errorCode(error) === 'accounts.not_found') return false
        throw error
      }
    },
  }
}

function policiesOf({ accounts, changed }: AccountsDirectoryOptions): AppNetworkPolicies {
  return {
    list: async ({ name }) => accounts.networkPolicies(nameOf(accounts, name)),
    async put(app, policy, by) {
      try {
        const put = accounts.putNetworkPolicy(callOf(by), { app: app.name, ...policy })
        changed?.()
        return put
      } catch (error) {
        const { what = '', values = {} } = error as AccountsError
        switch (errorCode(error)) {
          case 'accounts.not_found':
            throw refuse('flaps.not_found', `not_found: ${what}`, error)
          case 'accounts.taken': {
            const text = `already_exists: network policy ${values['policy']} has the name "${values['name']}"`
            throw refuse('flaps.name_exists', text, error)
          }
          case 'accounts.bad_input':
            throw refuse('flaps.unprocessable', `Validation failed: ${what}`, error)
          default:
            throw error
        }
      }
    },
    async remove({ name }, id, by) {
      try {
        accounts.removeNetworkPolicy(callOf(by), { app: name, id })
        changed?.()
        return true
      } catch (error) {
        if (errorCode(error) === 'accounts.not_found') return false
        throw error
      }
    },
  }
}

function hostnamesOf({ accounts, changed }: AccountsDirectoryOptions): AppHostnames {
  const change = (write: () => void) => {
    write()
    changed?.()
  }
  const orNone = (write: () => void): boolean => {
    try {
      change(write)
      return true
    } catch (error) {
      if (errorCode(error) === 'accounts.not_found') return false
      throw error
    }
  }
  const orUnfit = (write: () => void): void => {
    try {
      change(write)
    } catch (error) {
      const code = errorCode(error) ?? ''
      if (!['accounts.taken', 'accounts.bad_input'].includes(code)) throw error
      throw refuse('flaps.unprocessable', `Validation failed: ${(error as Error).message}`, error)
    }
  }
  return {
    list: async ({ name }) => accounts.hostnames(nameOf(accounts, name)),
    add: async ({ name }, hostname, by) =>
      orUnfit(() => accounts.addHostname(callOf(by), { app: name, hostname })),
    remove: async ({ name }, hostname, by) =>
      orNone(() => accounts.removeHostname(callOf(by), { app: name, hostname })),
    setCustom: async ({ name }, hostname, brought, by) =>
      orUnfit(() => accounts.setCustomCertificate(callOf(by), { app: name, hostname, ...brought })),
    removeCustom: async ({ name }, hostname, by) =>
      orNone(() => accounts.removeCustomCertificate(callOf(by), { app: name, hostname })),
    stopAcme: async ({ name }, hostname, by) =>
      orNone(() => accounts.stopAcme(callOf(by), { app: name, hostname })),
  }
}

function peersOf({ accounts, changed }: AccountsDirectoryOptions): OrganizationPeers {
  return {
    list: async ({ slug }) => accounts.wireguardPeers(slug),
    async add({ slug }, { name, publicKey, network, gateway }, by) {
      const { hostId, region, addressField } = gateway
      const addressOf = (id: number, slot: number) => peerAddress(id, addressField, slot)
      const input = {
        organization: slug,
        name,
        publicKey,
        network,
        gateway: hostId,
        region,
        addressOf,
      }
      try {
        const made = accounts.addWireguardPeer(callOf(by), input)
        changed?.()
        return made
      } catch (error) {
        const what = (error as { what?: string }).what
        if (errorCode(error) === 'accounts.taken') {
          throw refuse('flaps.name_exists', `already_exists: ${what}`, error)
        }
        if (errorCode(error) !== 'accounts.bad_input') throw error
        throw refuse('flaps.unprocessable', `Validation failed: ${what}`, error)
      }
    },
    async remove({ slug }, name, by) {
      try {
        accounts.removeWireguardPeer(callOf(by), { organization: slug, name })
        changed?.()
        return true
      } catch (error) {
        if (errorCode(error) === 'accounts.not_found') return false
        throw error
      }
    },
  }
}

function releasesOf({ accounts }: AccountsDirectoryOptions): AppReleases {
  return {
    list: async ({ name }, { limit }) => accounts.releases(nameOf(accounts, name), limit),
    create: async ({ name }, input, by) =>
      accounts.createRelease(callOf(by), { app: nameOf(accounts, name), ...input }),
    async update({ name }, id, change, by) {
      try {
        return accounts.updateRelease(callOf(by), { app: name, id, ...change })
      } catch (cause) {
        if (errorCode(cause) !== 'accounts.not_found') throw cause
        throw refuse('flaps.not_found', 'not_found: release not found', cause)
      }
    },
  }
}

const callOf = ({ who, requestId }: Author) => ({ who, requestId })

/** The name as accounts have checked it. @throws FlapsError flaps.not_found: deleted meanwhile */
const nameOf = (accounts: Accounts, name: string) => appIn(accounts, name).name

function appIn(accounts: Accounts, name: string): AccountsApp {
  const app = accounts.app(name)
  if (app !== undefined) return app
  throw appNotFound(name)
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

const organizationOf = ({ id, slug, name, isOperator }: Org): Organization => ({
  id: String(id),
  numericId: id,
  slug,
  name,
  ...(isOperator ? { isOperator } : {}),
})

const appOf = (app: AccountsApp): App => ({
  id: String(app.id),
  numericId: app.id,
  name: app.name,
  organization: organizationOf(app.organization),
  network: app.network,
  networkId: app.networkId,
  role: app.role,
  createdAtMs: app.createdAtMs,
})

const addressOf = (address: {
  readonly ip: string
  readonly kind: Address['kind']
  readonly region: string
  readonly createdAtMs: number
}): Address => ({ ...address, serviceName: '', network: undefined })
