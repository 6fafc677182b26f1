import type { App } from '#flaps'
import { nodes, type Subject } from '../graphql/subject.ts'
import type { WebCall } from '../web-call.ts'
import { addressesOf, versionOf } from './addresses.ts'

/** Addresses from which machines speak to the world: those of apps; a single machine has none here. */
export const egress: Subject = {
  sdl: `
    extend type App { egressIpAddresses: EgressIpConnection! }
    extend type GqlMachine { egressIpAddresses: EgressIpConnection! }
    extend type Mutation {
      allocateEgressIpAddress(input: AllocateEgressIPAddressInput!): AllocateEgressIPAddressPayload!
      releaseEgressIpAddress(input: ReleaseEgressIPAddressInput!): ReleaseEgressIPAddressPayload!
    }
    type EgressIpConnection { nodes: [EgressIp!]! }
    type EgressIp {
      id: ID! ip: String! version: Int! region: String! updatedAt: ISO8601DateTime!
    }
    input AllocateEgressIPAddressInput {
      clientMutationId: String appId: ID! machineId: ID region: String
    }
    type AllocateEgressIPAddressPayload { v4: String v6: String clientMutationId: String }
    input ReleaseEgressIPAddressInput {
      clientMutationId: String appId: ID! machineId: ID ip: String
    }
    type ReleaseEgressIPAddressPayload { v4: String v6: String clientMutationId: String }
  `,
  resolvers: {
    App: {
      egressIpAddresses: async (app: App, _args: unknown, call: WebCall) => {
        const own = (await addressesOf(app, call)).filter(({ kind }) => kind.startsWith('egress'))
        return nodes(
          own.map(({ ip, region, createdAtMs }) => ({
            ...{ id: ip, ip, version: versionOf(ip), region, updatedAt: createdAtMs },
          })),
        )
      },
    },
    GqlMachine: { egressIpAddresses: () => nodes([]) },
    Mutation: {
      async allocateEgressIpAddress(
        _none: unknown,
        { input }: { input: EgressInput },
        call: WebCall,
      ) {
        const params = { app: input.appId }
        const body = { type: 'egress_pair', region: input.region ?? '' }
        const { ip_pair: pair } = await call.perform('App_IPAssignments_create', { params, body })
        return pair
      },
      async releaseEgressIpAddress(
        _none: unknown,
        { input }: { input: EgressInput },
        call: WebCall,
      ) {
        const ip = input.ip ?? ''
        await call.perform('App_IPAssignments_delete', { params: { app: input.appId, ip } })
        return versionOf(ip) === 4 ? { v4: ip } : { v6: ip }
      },
    },
  },
}

interface EgressInput {
  readonly appId: string
  readonly region?: string | null
  readonly ip?: string | null
}
