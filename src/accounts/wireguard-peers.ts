import type { SQLOutputValue } from 'node:sqlite'
import type { Accounts } from './accounts.ts'
import { networkOf, taken } from './apps.ts'
import { badInput, notFound } from './errors.ts'
import { requireOrganization } from './organizations.ts'
import type { Store } from './store.ts'
import type { WireGuardPeer } from './wireguard-peer.ts'

/** As DNS takes it: the name is one label of `<name>._peer.internal`. */
const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/
const SLOT_COUNT = 256

const SELECT = `
  SELECT wireguard_peers.*, networks.name AS network_name
  FROM wireguard_peers JOIN networks ON networks.id = wireguard_peers.network`

export const wireguardReads = (store: Store): Pick<Accounts, 'wireguardPeers'> => ({
  wireguardPeers: (organization) =>
    store.database
      .prepare(`${SELECT} WHERE wireguard_peers.organization = ? ORDER BY wireguard_peers.name`)
      .all(requireOrganization(store, organization).id)
      .map(peerOf),
})

type Writes = 'addWireguardPeer' | 'removeWireguardPeer'

export const wireguardWrites = (store: Store): Pick<Accounts, Writes> => ({
  addWireguardPeer(_call, { organization, name, publicKey, network, gateway, region, addressOf }) {
    const { id } = requireOrganization(store, organization)
    if (!NAME.test(name)) {
      throw badInput('not a name of a peer', { name }, 'use 1 to 63 letters, digits and -')
    }
    if (!isKey(publicKey)) {
      throw badInput(
        'not a public key of WireGuard',
        { publicKey },
        'make one: wg genkey | wg pubkey',
      )
    }
    const held = (column: string, value: string) =>
      store.database
        .prepare(
          `SELECT 1 FROM wireguard_peers WHERE ${column} = ? AND organization = ifnull(?, organization)`,
        )
        .get(value, column === 'name' ? id : null) !== undefined
    if (held('name', name)) throw taken('name of a peer', { name })
    if (held('public_key', publicKey)) throw taken('public key', { publicKey })
    const networkId = networkOf(store, id, network || 'default')
    const slot = freeSlot(store, networkId, gateway)
    if (slot === undefined) {
      throw badInput(
        'the network has all the peers that it can have at this gateway',
        { gateway, peers: SLOT_COUNT },
        'remove some, or use a gateway of another region',
      )
    }
    const peerIp = addressOf(networkId, slot)
    const createdAtMs = store.clock.nowMs()
    const columns =
      'public_key, organization, network, name, gateway, region, slot, peer_ip, created_at_ms'
    store.database
      .prepare(`INSERT INTO wireguard_peers (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`)
      .run(publicKey, id, networkId, name, gateway, region, slot, peerIp, createdAtMs)
    const made = store.database.prepare(`${SELECT} WHERE public_key = ?`).get(publicKey)
    return peerOf(made as Record<string, SQLOutputValue>)
  },
  removeWireguardPeer(_call, { organization, name }) {
    const { id } = requireOrganization(store, organization)
    const { changes } = store.database
      .prepare('DELETE FROM wireguard_peers WHERE organization = ? AND name = ?')
      .run(id, name)
    if (changes === 0) throw notFound('peer of this organisation', { organization, name })
  },
})

function freeSlot({ database }: Store, network: number, gateway: string): number | undefined {
  const rows = database
    .prepare('SELECT slot FROM wireguard_peers WHERE network = ? AND gateway = ?')
    .all(network, gateway)
  const held = new Set(rows.map(({ slot }) => Number(slot)))
  return Array.from({ length: SLOT_COUNT }, (_, slot) => slot).find((slot) => !held.has(slot))
}

const isKey = (text: string) =>
  /^[A-Za-z0-9+/]{43}=$/.test(text) && Buffer.from(text, 'base64').toString('base64') === text

const peerOf = (row: Record<string, SQLOutputValue>): WireGuardPeer => ({
  name: String(row['name']),
  publicKey: String(row['public_key']),
  network: String(row['network_name']),
  networkId: Number(row['network']),
  gateway: String(row['gateway']),
  region: String(row['region']),
  peerIp: String(row['peer_ip']),
  createdAtMs: Number(row['created_at_ms']),
})
