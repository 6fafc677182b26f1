import { errorCode } from '#base'
import { Net6Error } from '../errors.ts'
import {
  checkNetworkId,
  formatSixPn,
  PEER_LOW,
  PEER_MACHINE,
  parseSixPn,
} from '../six-pn-address.ts'

/** A row of `wireguard_peers`, as far as a gateway needs it. */
export interface PeerRow {
  readonly public_key: string
  readonly network_id: number
  readonly peer_ip: string
  /** Since the epoch. */
  readonly created_at: number
}

/** A device of a person in a network, at this gateway. */
export interface GatewayPeer {
  readonly publicKey: string
  readonly network: number
  /** All that it may send from: a /120. Its own address ends in `02`, and some clients send from `00`. */
  readonly allowedIp: string
}

export interface ReadPeers {
  readonly peers: readonly GatewayPeer[]
  readonly problems: readonly Net6Error[]
}

/** Rows that make sense at the gateway `host` (its field in addresses). Of two with one address the older counts. */
export function readPeers(rows: Iterable<PeerRow>, host: number): ReadPeers {
  const peers = new Map<string, GatewayPeer>()
  const problems: Net6Error[] = []
  const ordered = [...rows].sort(
    (a, b) => a.created_at - b.created_at || (a.public_key < b.public_key ? -1 : 1),
  )
  for (const row of ordered) {
    try {
      const peer = readPeer(row, host)
      if (peers.has(peer.allowedIp)) throw bad(row, 'an older peer has this address')
      peers.set(peer.allowedIp, peer)
    } catch (error) {
      if (!(error instanceof Net6Error)) throw error
      problems.push(errorCode(error) === 'net6.peer_bad' ? error : bad(row, error.what, error))
    }
  }
  return { peers: [...peers.values()], problems }
}

function readPeer(row: PeerRow, host: number): GatewayPeer {
  if (!isPublicKey(row.public_key)) throw bad(row, 'its public key is none')
  const address = parseSixPn(row.peer_ip)
  const isOfGateway = address.host === host && address.machine === PEER_MACHINE
  if (!isOfGateway || (address.low & 0xff) !== PEER_LOW) {
    throw bad(row, 'its address is none of a peer of this gateway')
  }
  if (checkNetworkId(row.network_id) !== address.network) {
    throw bad(row, 'its address is of another network')
  }
  const prefix = formatSixPn({ ...address, low: address.low & 0xff00 })
  return { publicKey: row.public_key, network: address.network, allowedIp: `${prefix}/120` }
}

/** 32 bytes of base64. */
export const isPublicKey = (text: string): boolean =>
  /^[A-Za-z0-9+/]{43}=$/.test(text) && Buffer.from(text, 'base64').toString('base64') === text

const bad = (row: PeerRow, why: string, cause?: unknown) =>
  new Net6Error('net6.peer_bad', {
    what: 'a peer is left out',
    values: { peer_ip: row.peer_ip, public_key: row.public_key, why },
    fix: 'remove it, and make it again: godwit wireguard',
    cause,
  })
