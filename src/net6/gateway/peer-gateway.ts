import { join } from 'node:path'
import type { Log } from '#base'
import { MTU_BYTES } from '../machine/machine-networks.ts'
import { type MeshKey, readMeshKeys } from '../mesh/mesh-keys.ts'
import type { MeshDeviceState } from '../mesh/wireguard-dump.ts'
import type { Programs } from '../programs/programs.ts'
import { parseSixPn } from '../six-pn-address.ts'
import type { System } from '../system.ts'
import { ensureWireGuardDevice, readWireGuardDevice } from '../wireguard/wireguard-device.ts'
import { networkEntry, PEER_ROUTE_PROTOCOL, peerWords, routeLines } from './peer-plan.ts'
import { type PeerRow, readPeers } from './peer-rows.ts'

export const PEER_DEVICE = 'gwpeer0'
/** The port that flyctl takes for granted. */
export const PEER_PORT = 51_820

export interface PeerGatewayOptions {
  readonly system: System
  readonly programs: Programs
  /** Of the key; lasts over reboots. */
  readonly folder: string
  /** This host's field in 6PN addresses. */
  readonly host: number
  /** @default PEER_PORT */
  readonly port?: number
  /** @default MTU_BYTES */
  readonly mtuBytes?: number
  readonly log?: Log
}

/**
 * Where people's devices join their organisations' networks: a WireGuard device beside those of the mesh. It stands
 * without this process; whoever opens it again changes only what is not as the rows say.
 */
export class PeerGateway {
  readonly #options: PeerGatewayOptions
  readonly #key: MeshKey
  /** Networks whose packets come here. */
  #networks = new Set<number>()
  #told = ''

  private constructor(options: PeerGatewayOptions, key: MeshKey) {
    this.#options = options
    this.#key = key
  }

  /** @throws Net6Error net6.state_bad, net6.tool_failed */
  static async open(options: PeerGatewayOptions, signal?: AbortSignal): Promise<PeerGateway> {
    const { keys, current } = await readMeshKeys(join(options.folder, 'peer-key.json'))
    const gateway = new PeerGateway(options, keys[current] as MeshKey)
    await gateway.#ensureDevice(signal)
    return gateway
  }

  get publicKey(): string {
    return this.#key.publicKey
  }

  get port(): number {
    return this.#options.port ?? PEER_PORT
  }

  /**
   * All peers that this gateway is to have: others are cut off at once.
   *
   * @param hosts keys of the cluster's hosts on the mesh, which may try whether it answers
   */
  async setPeers(
    rows: Iterable<PeerRow>,
    hosts: readonly string[] = [],
    signal?: AbortSignal,
  ): Promise<void> {
    const { system, programs, host, log } = this.#options
    const { peers, problems } = readPeers(rows, host)
    const said = problems.map(({ message }) => message).join('\n')
    if (said !== this.#told) for (const problem of problems) log?.warn(problem.message)
    this.#told = said
    const ifindex = await this.#ensureDevice(signal)
    const state = await readWireGuardDevice(system, PEER_DEVICE, signal)
    const words = state === undefined ? [] : peerWords(state, peers, hosts)
    for (const some of inPieces(words)) {
      await system.run('wg', ['set', PEER_DEVICE, ...some], { signal })
    }
    const routes = routeLines(PEER_DEVICE, await this.#routes(signal), peers)
    if (routes.length > 0) {
      await system.run('ip', ['-6', '-batch', '-'], { input: `${routes.join('\n')}\n`, signal })
    }
    const networks = new Set(peers.map(({ network }) => network))
    const before = new Set([...this.#networks, ...(state?.peers ?? []).flatMap(networksOf)])
    const gone = [...before].filter((network) => !networks.has(network))
    const entries = (of: Iterable<number>) =>
      [...of].map((network) => networkEntry(network, host, ifindex))
    await programs.set(entries(networks), signal)
    await programs.remove(entries(gone), signal)
    this.#networks = networks
  }

  /** As it is now; undefined: wireguard-go has died, and the next `setPeers` makes it again. */
  links(signal?: AbortSignal): Promise<MeshDeviceState | undefined> {
    return readWireGuardDevice(this.#options.system, PEER_DEVICE, signal)
  }

  #ensureDevice(signal?: AbortSignal): Promise<number> {
    const { system, programs, mtuBytes = MTU_BYTES } = this.#options
    const spec = {
      ...{ device: PEER_DEVICE, key: this.#key, listenPort: this.port, mtuBytes },
      ...({ ingress: 'from_peer', egress: 'to_peer' } as const),
    }
    return ensureWireGuardDevice(system, programs, spec, signal)
  }

  async #routes(signal?: AbortSignal): Promise<Set<string>> {
    const show = ['-j', '-6', 'route', 'show', 'dev', PEER_DEVICE, 'proto', PEER_ROUTE_PROTOCOL]
    const { stdout } = await this.#options.system.run('ip', show, { signal })
    return new Set((JSON.parse(stdout || '[]') as { dst: string }[]).map(({ dst }) => dst))
  }
}

const networksOf = ({ allowedIps }: MeshDeviceState['peers'][number]): number[] =>
  allowedIps.map((prefix) => parseSixPn(prefix.split('/')[0] ?? '').network)

const WORDS_MAX = 2_000

/** A command line has an end: pieces begin at a `peer`. */
function* inPieces(words: readonly string[]): Generator<string[]> {
  let piece: string[] = []
  for (const word of words) {
    if (word === 'peer' && piece.length >= WORDS_MAX) {
      yield piece
      piece = []
    }
    piece.push(word)
  }
  if (piece.length > 0) yield piece
}
