import type { Organization, Peer } from '#flaps'
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
        (await peersOf(view, call)).find(({ peer }) => peer.name === shortened(name)) ?? null,
    },
    WireGuardPeer: {
      id: ({ peer }: PeerOf) => peer.name,
      name: ({ peer }: PeerOf) => peer.name,
      pubkey: ({ peer }: PeerOf) => peer.publicKey,
      region: ({ peer }: PeerOf) => peer.region,
      peerip: ({ peer }: PeerOf) => peer.peerIp,
      network: ({ peer }: PeerOf) => peer.network,
      gatewayStatus: statusOf,
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
        const known = new Set(lists.flat().map(({ peer }) => peer.peerIp))
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

interface PeerOf {
  readonly organization: Organization
  readonly peer: Peer
}

async function peersOf(
  { organization }: OrganizationView,
  call: WebCall,
): Promise<readonly PeerOf[]> {
  call.require(READ, { organization })
  const peers = await call.once(`peers ${organization.id}`, () =>
    call.services.directory.peers.list(organization, call.signal),
  )
  return peers.map((peer) => ({ organization, peer }))
}

interface PeerStatus {
  readonly name: string
  readonly last_handshake: string | null
}

/** As the Machines API says it, at its rate: lists of names are asked for far more often. */
async function statusOf({ organization, peer }: PeerOf, _args: unknown, call: WebCall) {
  const params = { org: organization.slug }
  const { peers } = await call.once(`statuses ${organization.id}`, () =>
    call.perform('WireGuardPeers_list', { params }),
  )
  const found = (peers as readonly PeerStatus[]).find(({ name }) => name === peer.name)
  return found === undefined ? null : { ...found, lastHandshake: found.last_handshake }
}

/** Clients make names of a host, an address and a ULID, which together may be longer than a label. */
export function shortened(name: string): string {
  if (name.length <= NAME_CHARS_MAX) return name
  const tail = name.slice(-TAIL_CHARS)
  return `${name.slice(0, NAME_CHARS_MAX - TAIL_CHARS - 1).replace(/-+$/, '')}-${tail}`
}
