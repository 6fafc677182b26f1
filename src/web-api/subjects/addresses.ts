import { isIPv6 } from 'node:net'
import { type Address, type App, refuse } from '#flaps'
import { nodes, type Subject } from '../graphql/subject.ts'
import type { WebCall } from '../web-call.ts'

const KINDS = ['v4', 'v6', 'private_v6', 'shared_v4'] as const

export const addresses: Subject = {
  sdl: `
    extend type App { ipAddresses: IPAddressConnection! sharedIpAddress: String }
    extend type Mutation {
      allocateIpAddress(input: AllocateIPAddressInput!): AllocateIPAddressPayload!
      releaseIpAddress(input: ReleaseIPAddressInput!): ReleaseIPAddressPayload!
    }
    enum IPAddressType { v4 v6 private_v6 shared_v4 }
    type IPAddressConnection { nodes: [IPAddress!]! }
    type IPAddress {
      id: ID! address: String! type: IPAddressType! region: String createdAt: ISO8601DateTime!
      serviceName: String network: Network
    }
    type Network { name: String! organization: Organization! }
    input AllocateIPAddressInput {
      clientMutationId: String appId: ID! type: IPAddressType! region: String organizationId: ID
      network: String serviceName: String
    }
    type AllocateIPAddressPayload { app: App! ipAddress: IPAddress clientMutationId: String }
    input ReleaseIPAddressInput {
      clientMutationId: String appId: ID ipAddressId: ID ip: String
    }
    type ReleaseIPAddressPayload { app: App! clientMutationId: String }
  `,
  resolvers: {
    App: {
      /** Without the shared one, which clients ask for beside them. */
      ipAddresses: async (app: App, _args: unknown, call: WebCall) => {
        const all = await addressesOf(app, call)
        return nodes(all.filter(({ kind }) => isListed(kind)).map(addressJson))
      },
      sharedIpAddress: async (app: App, _args: unknown, call: WebCall) =>
        (await addressesOf(app, call)).find(({ kind }) => kind === 'shared_v4')?.ip ?? null,
    },
    Mutation: {
      async allocateIpAddress(_none: unknown, { input }: { input: AllocateInput }, call: WebCall) {
        const { appId, type, region, organizationId, network, serviceName } = input
        const slug = organizationId ? (await call.organization(organizationId)).slug : ''
        const body = {
          ...{ type, region: region ?? '', org_slug: slug, network: network ?? '' },
          ...(serviceName ? { service_name: serviceName } : {}),
        }
        const { ip } = await call.perform('App_IPAssignments_create', {
          params: { app: appId },
          body,
        })
        const app = await call.changedApp(appId)
        const { addresses: all } = call.services.directory
        const made = (await all.list(app, call.signal)).find((one) => one.ip === ip)
        const ipAddress = made !== undefined && isListed(made.kind) ? addressJson(made) : null
        return { app, ipAddress }
      },
      async releaseIpAddress(_none: unknown, { input }: { input: ReleaseInput }, call: WebCall) {
        const ip = input.ip || input.ipAddressId
        if (!ip || !input.appId) {
          throw refuse('flaps.argument_bad', 'invalid_argument: name the app and its address')
        }
        await call.perform('App_IPAssignments_delete', { params: { app: input.appId, ip } })
        return { app: await call.changedApp(input.appId) }
      },
    },
  },
}

interface AllocateInput {
  readonly appId: string
  readonly type: (typeof KINDS)[number]
  readonly region?: string | null
  readonly organizationId?: string | null
  readonly network?: string | null
  readonly serviceName?: string | null
}

interface ReleaseInput {
  readonly appId?: string | null
  readonly ip?: string | null
  readonly ipAddressId?: string | null
}

export const addressesOf = (app: App, call: WebCall): Promise<readonly Address[]> =>
  call.once(`addresses ${app.id}`, () => call.services.directory.addresses.list(app, call.signal))

const isListed = (kind: Address['kind']) =>
  kind !== 'shared_v4' && (KINDS as readonly string[]).includes(kind)

const addressJson = ({ ip, kind, region, serviceName, createdAtMs }: Address) => ({
  ...{ id: ip, address: ip, type: kind, region: region || 'global', createdAt: createdAtMs },
  ...{ serviceName: serviceName || null, network: null },
})

export const versionOf = (ip: string): number => (isIPv6(ip) ? 6 : 4)
