import { Type } from 'typebox'
import { timeText } from '#flyd'
import { Action } from '#macaroon'
import { noContent, ok } from '../answer.ts'
import type { Peer } from '../directory.ts'
import { endpoint } from '../endpoint.ts'
import { refuse } from '../errors.ts'
import type { GatewayRow, LinkRow, Rows } from '../rows.ts'
import { optionalText } from './schemas.ts'

const tag = 'WireGuard'
const path = '/v1/orgs/:org/wireguard_peers'
/** WireGuard makes a new session every two minutes while there is traffic. */
const LIVE_MS = 180_000

const peerAnswer = Type.Object({
  name: Type.String(),
  pubkey: Type.String({ description: "the peer's own" }),
  peerip: Type.String(),
  network: Type.String(),
  region: Type.String(),
  gateway: Type.String({ description: 'id of the host that it connects to' }),
  created_at: Type.String(),
  live: Type.Boolean({ description: 'there was a handshake within three minutes' }),
  last_handshake: Type.Union([Type.String(), Type.Null()]),
  endpoint: Type.String({ description: 'where the gateway hears it' }),
  rx: Type.Integer(),
  tx: Type.Integer(),
})

export const wireguardEndpoints = [
  endpoint({
    id: 'WireGuardPeers_list',
    method: 'GET',
    path,
    tag,
    summary: "People's devices in the organisation's networks, and when they were last heard.",
    answers: { 200: Type.Object({ peers: Type.Array(peerAnswer) }) },
    access: { on: 'org', action: Action.read, slugFrom: 'path', feature: 'wg' },
    limit: 'action',
    async handle({ organization, services, signal }) {
      const peers = await services.directory.peers.list(organization, signal)
      const links = services.rows.wireguardLinks()
      const nowMs = services.clock.nowMs()
      return ok({ peers: peers.map((peer) => peerJson(peer, links.get(peer.publicKey), nowMs)) })
    },
  }),

  endpoint({
    id: 'WireGuardPeers_create',
    method: 'POST',
    path,
    tag,
    summary: 'Lets a device into a network; answers what its configuration needs.',
    body: Type.Object({
      name: Type.String(),
      pubkey: Type.String({ description: '32 bytes of base64' }),
      region: optionalText(),
      network: optionalText(),
    }),
    answers: {
      200: Type.Object({
        name: Type.String(),
        peerip: Type.String(),
        endpointip: Type.String(),
        endpoint: Type.String({ description: 'with its port' }),
        pubkey: Type.String({ description: "the gateway's" }),
        region: Type.String(),
        network: Type.String(),
      }),
    },
    access: {
      ...{ on: 'org', action: Action.create, slugFrom: 'path', feature: 'wg' },
      mutation: 'addWireGuardPeer',
    },
    limit: 'action',
    example: { body: { name: 'laptop', pubkey: 'KClDtGE1CYHuaaXeU8dRCpWwiX/5pFyGSGyjLk6axxk=' } },
    async handle({ organization, body, services, by }) {
      const gateway = gatewayIn(services.rows, body.region, services.region)
      const { name, pubkey: publicKey, network = '' } = body
      const input = { name, publicKey, network, gateway }
      const peer = await services.directory.peers.add(organization, input, by)
      const { endpoint: place } = gateway
      return ok({
        name,
        peerip: peer.peerIp,
        endpointip: place.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1'),
        endpoint: place,
        pubkey: gateway.publicKey,
        region: peer.region,
        network: peer.network,
      })
    },
  }),

  endpoint({
    id: 'WireGuardPeers_delete',
    method: 'DELETE',
    path: `${path}/:name`,
    tag,
    summary: 'Takes a device out; it is cut off within seconds.',
    answers: { 204: null },
    access: { on: 'org', action: Action.delete, slugFrom: 'path', feature: 'wg' },
    limit: 'action',
    async handle(call) {
      const name = call.param('name')
      const { organization, services, by } = call
      if (await services.directory.peers.remove(organization, name, by)) return noContent
      throw refuse('flaps.not_found', `not_found: no peer "${name}"`)
    },
  }),

  endpoint({
    id: 'WireGuardPeers_validate',
    method: 'POST',
    path: `${path}/validate`,
    tag,
    summary: 'Which addresses of peers are still good.',
    body: Type.Object({ peerIps: Type.Array(Type.String(), { maxItems: 1000 }) }),
    answers: {
      200: Type.Object({
        validPeerIps: Type.Array(Type.String()),
        invalidPeerIps: Type.Array(Type.String()),
      }),
    },
    access: { on: 'org', action: Action.read, slugFrom: 'path', feature: 'wg' },
    limit: 'action',
    example: { body: { peerIps: [] } },
    async handle({ organization, body, services, signal }) {
      const peers = await services.directory.peers.list(organization, signal)
      const known = new Set(peers.map(({ peerIp }) => peerIp))
      return ok({
        validPeerIps: body.peerIps.filter((ip) => known.has(ip)),
        invalidPeerIps: body.peerIps.filter((ip) => !known.has(ip)),
      })
    },
  }),
]

/** Of the region that was asked for; else the one of this instance, which the caller found the nearest. */
function gatewayIn(rows: Rows, region: string | undefined, own: string): GatewayRow {
  const gateways = rows.wireguardGateways()
  const found =
    region === undefined || region === ''
      ? (gateways.find((one) => one.region === own && one.isHeard) ?? gateways[0])
      : gateways.find((one) => one.region === region)
  if (found !== undefined) return found
  const regions = [...new Set(gateways.map((one) => one.region))].join(', ') || 'no region'
  const where = region ? ` in region ${region}` : ''
  throw refuse('flaps.unprocessable', `no WireGuard gateway${where}; there is one in ${regions}`)
}

const peerJson = (peer: Peer, link: LinkRow | undefined, nowMs: number) => ({
  name: peer.name,
  pubkey: peer.publicKey,
  peerip: peer.peerIp,
  network: peer.network,
  region: peer.region,
  gateway: peer.gateway,
  created_at: timeText(peer.createdAtMs),
  live: link !== undefined && nowMs - link.handshakeAtMs < LIVE_MS,
  last_handshake: link === undefined ? null : timeText(link.handshakeAtMs),
  endpoint: link?.endpoint ?? '',
  rx: link?.receivedBytes ?? 0,
  tx: link?.sentBytes ?? 0,
})
