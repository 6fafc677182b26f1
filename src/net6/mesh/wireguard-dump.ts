import { Net6Error } from '../errors.ts'

/** A WireGuard device, as `wg show DEVICE dump` tells it. */
export interface MeshDeviceState {
  readonly publicKey: string
  readonly listenPort: number
  readonly peers: readonly MeshPeerState[]
}

export interface MeshPeerState {
  readonly publicKey: string
  /** Absent until it is told or heard. */
  readonly endpoint?: string
  readonly allowedIps: readonly string[]
  /** Since the epoch; 0: never. */
  readonly handshakeMs: number
  readonly receivedBytes: number
  readonly sentBytes: number
  readonly keepaliveS: number
}

/** Source: wg(8), "show". @throws Net6Error net6.tool_failed: it says something else */
export function parseDump(text: string): MeshDeviceState {
  const [head = '', ...rest] = text.split('\n').filter((line) => line !== '')
  const [, publicKey = '', listenPort] = head.split('\t')
  if (listenPort === undefined) {
    throw new Net6Error('net6.tool_failed', { what: 'wg tells no device', values: { said: head } })
  }
  return { publicKey, listenPort: Number(listenPort), peers: rest.map(parsePeer) }
}

function parsePeer(line: string): MeshPeerState {
  const [publicKey = '', , endpoint = '', allowedIps = '', handshake, received, sent, keepalive] =
    line.split('\t')
  return {
    publicKey,
    ...(endpoint === '(none)' ? {} : { endpoint }),
    allowedIps: allowedIps === '(none)' ? [] : allowedIps.split(','),
    handshakeMs: Number(handshake) * 1000,
    receivedBytes: Number(received),
    sentBytes: Number(sent),
    keepaliveS: keepalive === 'off' ? 0 : Number(keepalive),
  }
}
