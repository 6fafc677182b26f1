/**
 * What the mesh is to be, worked out from the rows of all hosts and what WireGuard tells now. No I/O, and no
 * memory but what says how long something has been so.
 *
 * A host has a device for each of its keys: one, or two while it changes keys (generations 0 and 1). Every
 * peer stands on every device, with the prefix that belongs to the peer's generation: so both keys of a peer
 * are there at a time, and nothing has to be taken from one before the other works. Packets take the newest
 * pair of keys that has shaken hands, and an old key goes once the new one has been in use for a while.
 */
import type { HostRoute } from '../programs/map-layout.ts'
import { GENERATION_COUNT, meshPrefix } from '../six-pn-address.ts'
import type { MeshHost } from './host-rows.ts'
import type { MeshDeviceState, MeshPeerState } from './wireguard-dump.ts'

/** An old key stays so long after its successor was first used: what is under way under it arrives. */
export const RETIRE_MS = 60_000
/** Hosts that were not heard for so long do not hold up the end of an old key. WireGuard: REJECT_AFTER_TIME. */
export const SILENT_MS = 180_000

/**
 * A peer that is known so long without a handshake is made anew, by one of the two hosts and while they are new to
 * each other: handshakes that cross each other fail at both ends, and WireGuard tries again after REKEY_TIMEOUT (5 s)
 * at the earliest, at both ends at once. What is new tries at once.
 */
const STALLED_MS = 1_000
/** Who is silent for longer is away. */
const NEW_MS = 10_000

export interface MeshPeer {
  readonly publicKey: string
  readonly allowedIp: string
  /** Absent: it stays as it is. */
  readonly endpoint?: string
}

export interface MeshInput {
  /** Of all hosts, this one too. */
  readonly hosts: readonly MeshHost[]
  readonly ownId: string
  /** Generation of the key that this host's row is to show. */
  readonly current: number
  /** This host's devices by generation. */
  readonly devices: ReadonlyMap<number, MeshDeviceState>
  readonly nowMs: number
}

export interface MeshPlan {
  /** The same on every device. */
  readonly peers: readonly MeshPeer[]
  /** Without `ifindex`: the device of `localGeneration`. */
  readonly routes: readonly Omit<HostRoute, 'ifindex'>[]
  /** The device of this generation, which is not the current one, is not needed any more. */
  readonly isOldDeviceDone: boolean
  /** By generation of a device: keys of peers that are to be made anew there. */
  readonly stalled: ReadonlyMap<number, readonly string[]>
}

/** Since when something holds, for what must hold for a while. */
export class MeshMemory {
  readonly #sinceMs = new Map<string, number>()

  /** How long `key` has been so without a break; 0 when it is not, or only from now on. */
  heldMs(key: string, holds: boolean, nowMs: number): number {
    if (!holds) {
      this.#sinceMs.delete(key)
      return 0
    }
    const sinceMs = this.#sinceMs.get(key) ?? nowMs
    this.#sinceMs.set(key, sinceMs)
    return nowMs - sinceMs
  }

  /** Forgets what nobody asked for, so that it cannot grow. */
  keep(keys: ReadonlySet<string>): void {
    for (const key of this.#sinceMs.keys()) if (!keys.has(key)) this.#sinceMs.delete(key)
  }
}

/** @returns undefined when the rows are not whole yet: this host's own is not among them */
export function planMesh(input: MeshInput, memory: MeshMemory): MeshPlan | undefined {
  const { hosts, ownId, nowMs } = input
  if (!hosts.some(({ id }) => id === ownId)) return undefined
  const others = hosts.filter(({ id }) => id !== ownId)
  const devices = indexDevices(input, others)
  const peers: MeshPeer[] = []
  const routes: Omit<HostRoute, 'ifindex'>[] = []
  const asked = new Set(['old device'])
  for (const host of others) {
    const { id, publicKey, prefix, endpoint } = host
    peers.push({ publicKey, allowedIp: prefix, endpoint })
    const old = devices.oldPeer(host)
    const isNewUsed = devices.generationInUse(publicKey) !== undefined
    asked.add(`old key ${id}`)
    const usedMs = memory.heldMs(`old key ${id}`, old !== undefined && isNewUsed, nowMs)
    if (old !== undefined && usedMs < RETIRE_MS) peers.push(old)
    routes.push(routeOf(devices, host, old))
  }
  const usedMs = memory.heldMs('old device', isMoved(devices, others, nowMs), nowMs)
  const stalled = stalledPeers(input, peers, memory, asked)
  memory.keep(asked)
  return { peers, routes, isOldDeviceDone: usedMs >= RETIRE_MS, stalled }
}

/** Of two hosts the one whose key is the lesser looks to it. */
function stalledPeers(
  { devices, nowMs }: MeshInput,
  wanted: readonly MeshPeer[],
  memory: MeshMemory,
  asked: Set<string>,
): Map<number, readonly string[]> {
  const stalled = new Map<number, readonly string[]>()
  for (const [generation, { publicKey: ownKey, peers }] of devices) {
    const handshakesMs = new Map(peers.map((peer) => [peer.publicKey, peer.handshakeMs]))
    const keys = wanted.flatMap(({ publicKey }) => {
      const handshakeMs = handshakesMs.get(publicKey)
      if ((handshakeMs ?? 0) > 0 || ownKey > publicKey) return []
      const peerKey = `${generation} ${publicKey}`
      const [known, silent] = [`known ${peerKey}`, `silent ${peerKey}`]
      asked.add(known).add(silent)
      const knownMs = memory.heldMs(known, true, nowMs)
      const silentMs = memory.heldMs(silent, handshakeMs === 0, nowMs)
      if (silentMs < STALLED_MS || knownMs >= NEW_MS) return []
      memory.heldMs(silent, false, nowMs) // what is made anew has its second, too
      return [publicKey]
    })
    if (keys.length > 0) stalled.set(generation, keys)
  }
  return stalled
}

/** The devices, newest first, for many questions: hosts may be thousands, and each looks every second. */
interface IndexedDevices {
  readonly newest: IndexedDevice | undefined
  readonly older: IndexedDevice | undefined
  readonly current: number
  /** The key that a host had before, if a device still knows it: of the other generation. */
  oldPeer(host: MeshHost): MeshPeer | undefined
  /** The newest own generation under which a peer has shaken hands. */
  generationInUse(publicKey: string): number | undefined
}

interface IndexedDevice {
  readonly generation: number
  /** By public key; 0: never. */
  readonly handshakesMs: ReadonlyMap<string, number>
}

function indexDevices(input: MeshInput, others: readonly MeshHost[]): IndexedDevices {
  const keys = new Set(others.map(({ publicKey }) => publicKey))
  const oldPeers = new Map<string, MeshPeer>()
  for (const { peers } of input.devices.values()) {
    for (const { publicKey, allowedIps } of peers) {
      const allowedIp = allowedIps[0]
      if (allowedIp !== undefined && !keys.has(publicKey)) {
        oldPeers.set(allowedIp, { publicKey, allowedIp })
      }
    }
  }
  const newest = indexDevice(input, input.current)
  const older = indexDevice(input, (input.current + 1) % GENERATION_COUNT)
  return {
    newest,
    older,
    current: input.current,
    oldPeer: ({ host, generation }) =>
      oldPeers.size === 0
        ? undefined
        : oldPeers.get(meshPrefix(host, (generation + 1) % GENERATION_COUNT)),
    generationInUse: (publicKey) =>
      [newest, older].find((device) => (device?.handshakesMs.get(publicKey) ?? 0) > 0)?.generation,
  }
}

function indexDevice({ devices }: MeshInput, generation: number): IndexedDevice | undefined {
  const device = devices.get(generation)
  if (device === undefined) return undefined
  const handshakes = device.peers.map((peer) => [peer.publicKey, peer.handshakeMs] as const)
  return { generation, handshakesMs: new Map(handshakes) }
}

function routeOf(devices: IndexedDevices, host: MeshHost, old: MeshPeer | undefined) {
  const { newest, older, current } = devices
  const toNew = devices.generationInUse(host.publicKey)
  const toOld = old === undefined ? undefined : devices.generationInUse(old.publicKey)
  const isNew = toNew !== undefined || toOld === undefined
  return {
    host: host.host,
    localGeneration: (isNew ? toNew : toOld) ?? (newest ?? older)?.generation ?? current,
    remoteGeneration: isNew ? host.generation : (host.generation + 1) % GENERATION_COUNT,
  }
}

/** Every host that is heard under the old key is heard under the new one. */
function isMoved(
  { newest, older }: IndexedDevices,
  others: readonly MeshHost[],
  nowMs: number,
): boolean {
  if (newest === undefined || older === undefined) return false
  return others.every(({ publicKey }) => {
    const oldMs = older.handshakesMs.get(publicKey) ?? 0
    return (newest.handshakesMs.get(publicKey) ?? 0) > 0 || nowMs - oldMs > SILENT_MS
  })
}

export const KEEPALIVE_S = 25

export interface ChangeContext {
  /** Endpoints as last taken from rows, by key. */
  readonly known: ReadonlyMap<string, string>
  readonly nowMs: number
  /** Keys of peers that are to be made anew. @default none */
  readonly stalled?: readonly string[] | undefined
}

/**
 * Words for one `wg set DEVICE` that brings a device to the planned peers, and names only those that change.
 * An endpoint that a peer has moved to by itself is left alone while it is heard there.
 */
export function changesOf(
  device: MeshDeviceState,
  wanted: readonly MeshPeer[],
  { known, nowMs, stalled = [] }: ChangeContext,
): string[] {
  const keys = new Set(wanted.map(({ publicKey }) => publicKey))
  const anew = new Set(stalled)
  const stays = ({ publicKey }: MeshPeerState) => keys.has(publicKey) && !anew.has(publicKey)
  const present = new Map(device.peers.filter(stays).map((peer) => [peer.publicKey, peer]))
  const words = device.peers
    .filter((peer) => !stays(peer))
    .flatMap(({ publicKey }) => ['peer', publicKey, 'remove'])
  for (const { publicKey, allowedIp, endpoint } of wanted) {
    const peer = present.get(publicKey)
    const isMoved = known.has(publicKey) && known.get(publicKey) !== endpoint
    const isSilent = peer === undefined || nowMs - peer.handshakeMs > SILENT_MS
    const changes = [
      ...(endpoint !== undefined && peer?.endpoint !== endpoint && (isMoved || isSilent)
        ? ['endpoint', endpoint]
        : []),
      ...(peer?.allowedIps.join() === allowedIp ? [] : ['allowed-ips', allowedIp]),
      ...(peer?.keepaliveS === KEEPALIVE_S ? [] : ['persistent-keepalive', String(KEEPALIVE_S)]),
    ]
    if (changes.length > 0) words.push('peer', publicKey, ...changes)
  }
  return words
}
