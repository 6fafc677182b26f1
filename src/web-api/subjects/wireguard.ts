import { Action } from '#macaroon'
import { nodes, type Subject } from '../graphql/subject.ts'
import type { OrganizationView, WebCall } from '../web-call.ts'

const READ = { on: 'org', action: Action.read, slugFrom: 'path', feature: 'wg' } as const
/** A peer's name is a label of a host name. */
const NAME_CHARS_MAX = 63
/** Of the end of a name that clients made, which tells it from all others: a ULID. */
const TAIL_CHARS = 26

export const wireguard: Subject = {
  sdl: `
    extend type Organization {
      wireGuardPeers: WireGuardPeerConnection! wireGuardPeer(name: String!): WireGuardPeer
    }
    extend type Mutation {
      addWireGuardPeer(input: AddWireGuardPeerInput!): AddWireGuardPeerPayload!
      removeWireGuardPeer(input: RemoveWireGuardPeerInput!): RemoveWireGuardPeerPayload!
      validateWireGuardPeers(input: ValidateWireGuardPeersInput!): ValidateWireGuardPeersPayload!
    }
    type WireGuardPeerConnection { nodes: [WireGuardPeer!]! }
    type WireGuardPeer {
      id: ID! name: String! pubkey: String! region: String! peerip: String! network: String
      gatewayStatus: WireGuardGatewayStatus
    }
    type WireGuardGatewayStatus {
      endpoint: String lastHandshake: ISO8601DateTime sinceAdded: String sinceHandshake: String
      rx: BigInt tx: BigInt live: Boolean!
    }
    input AddWireGuardPeerInput {
      clientMutationId: String organizationId: ID! name: String! pubkey: String! nats: Boolean
      network: String region: String
    }
    type AddWireGuardPeerPayload {
      peerip: String! endpointip: String! pubkey: String! network: String clientMutationId: String
    }
    input RemoveWireGuardPeerInput {
      clientMutationId: String organizationId: ID! name: String! nats: Boolean
    }
    type RemoveWireGuardPeerPayload { organization: Organization! clientMutationId: String }
    input ValidateWireGuardPeersInput { clientMutationId: String peerIps: [String!]! }
    type ValidateWireGuardPeersPayload {
      validPeerIps: [String!]! invalidPeerIps: [String!]! clientMutationId: String
    }
  `,
  resolvers: {
    Organization: {
      wireGuardPeers: async (view: OrganizationView, _args: unknown, call: WebCall) =>
        nodes(await peersOf(view, call)),
      wireGuardPeer: async (view: OrganizationView, { name }: { name: string }, call: WebCall) =>
        (await peersOf(view, call)).find((peer) => peer.name === shortened(name)) ?? null,
    },
    Mutation: {
      async addWireGuardPeer(_none: unknown, { input }: { input: PeerInput }, call: WebCall) {
        const { organization } = await call.organization(input.organizationId)
        const { pubkey, region, network } = input
        const where = { region: region ?? '', network: network ?? '' }
        return await call.perform('WireGuardPeers_create', {
          params: { org: organization.slug },
          body: { name: shortened(input.name), pubkey, ...where },
        })
      },
      async removeWireGuardPeer(_none: unknown, { input }: { input: PeerInput }, call: WebCall) {
        const view = await call.organization(input.organizationId)
        const params = { org: view.organization.slug, name: shortened(input.name) }
        await call.perform('WireGuardPeers_delete', { params })
        return { organization: view }
      },
      /** Of all organisations of the caller: clients ask for all that they have at once. */
      async validateWireGuardPeers(
        _none: unknown,
        { input }: { input: { readonly peerIps: readonly string[] } },
        call: WebCall,
      ) {
        const views = await call.organizations()
        const own = views.filter((view) => call.allows(READ, view))
        const lists = await Promise.all(own.map((view) => peersOf(view, call)))
        const known = new Set(lists.flat().map(({ peerip }) => peerip))
        return {
          validPeerIps: input.peerIps.filter((ip) => known.has(ip)),
          invalidPeerIps: input.peerIps.filter((ip) => !known.has(ip)),
        }
      },
    },
  },
}

interface PeerInput {
  readonly organizationId: string
  readonly name: string
  readonly pubkey: string
  readonly region?: string | null
  readonly network?: string | null
}

interface PeerJson {
  readonly name: string
  readonly pubkey: string
  readonly peerip: string
  readonly region: string
  readonly network: string
  readonly last_handshake: string | null
  readonly endpoint: string
  readonly rx: number
  readonly tx: number
  readonly live: boolean
}

async function peersOf({ organization }: OrganizationView, call: WebCall) {
  call.require(READ, { organization })
  const params = { org: organization.slug }
  const { peers } = await call.once(`peers ${organization.id}`, () =>
    call.perform('WireGuardPeers_list', { params }),
  )
  return (peers as readonly PeerJson[]).map((peer) => ({
    ...{ id: peer.name, name: peer.name, pubkey: peer.pubkey, peerip: peer.peerip },
    ...{ region: peer.region, network: peer.network },
    gatewayStatus: {
      ...{ endpoint: peer.endpoint, lastHandshake: peer.last_handshake },
      ...{ rx: peer.rx, tx: peer.tx, live: peer.live },
    },
  }))
}

/** Clients make names of a host, an address and a ULID, which together may be longer than a label. */
export function shortened(name: string): string {
  if (name.length <= NAME_CHARS_MAX) return name
  const tail = name.slice(-TAIL_CHARS)
  return `${name.slice(0, NAME_CHARS_MAX - TAIL_CHARS - 1).replace(/-+$/, '')}-${tail}`
}
