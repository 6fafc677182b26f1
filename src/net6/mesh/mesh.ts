import { join } from 'node:path'
import { type Clock, type Log, systemClock } from '#base'
import { Net6Error } from '../errors.ts'
import { MTU_BYTES } from '../machine/machine-networks.ts'
import { routeEntry } from '../programs/map-layout.ts'
import type { Programs } from '../programs/programs.ts'
import { BACKHAUL_PREFIX, backhaulAddress, meshPrefix } from '../six-pn-address.ts'
import type { System } from '../system.ts'
import { type HostRow, type ReadRows, readRows } from './host-rows.ts'
import { ensureMeshDevice, meshDevice, readMeshDevice, removeMeshDevice } from './mesh-device.ts'
import {
  generateMeshKey,
  type MeshKeys,
  otherGeneration,
  readMeshKeys,
  writeMeshKeys,
} from './mesh-keys.ts'
import { changesOf, MeshMemory, type MeshPlan, planMesh } from './mesh-plan.ts'
import type { MeshDeviceState } from './wireguard-dump.ts'

/** Of generation 0; generation 1 has the next one. 51820 is the peers': their clients know no other. */
export const MESH_PORT = 51_821
const LOOK_MS = 1_000

export interface MeshOptions {
  readonly system: System
  readonly programs: Programs
  /** Keys and ports; lasts over reboots. */
  readonly folder: string
  readonly hostId: string
  /** This host's field in 6PN addresses. */
  readonly host: number
  /** Where other hosts find this one, without a port; an IPv6 address without brackets. */
  readonly publicAddress: string
  /** @default MESH_PORT */
  readonly port?: number
  /** @default MTU_BYTES */
  readonly mtuBytes?: number
  readonly clock?: Clock
  readonly log?: Log
}

/**
 * The links to all other hosts. Devices, peers and routes stand without it: it may be killed and opened
 * again at any moment, and changes only what is not as the rows say.
 */
export class Mesh {
  readonly #options: MeshOptions
  readonly #memory = new MeshMemory()
  /** Endpoints as last taken from rows, by key: a changed one is followed. */
  readonly #endpoints = new Map<string, string>()
  readonly #stop = new AbortController()
  #keys: MeshKeys
  #read: ReadRows = { hosts: [], problems: [] }
  #turn: Promise<unknown> = Promise.resolve()
  #looking: Promise<void> = Promise.resolve()

  private constructor(options: MeshOptions, keys: MeshKeys) {
    this.#options = options
    this.#keys = keys
  }

  /** Makes the device, with the key that the host has had so far; peers come with `setRows`. */
  static async open(options: MeshOptions, signal?: AbortSignal): Promise<Mesh> {
    const keys = await readMeshKeys(keysFile(options.folder))
    const mesh = new Mesh(options, keys)
    await mesh.#ensureDevices(signal)
    mesh.#looking = mesh.#look()
    return mesh
  }

  /** What this host's row in `hosts` is to say: at once after `open`, and again after `rotateKey`. */
  get ownColumns(): Omit<HostRow, 'id'> & { readonly backhaul_ip: string } {
    const { host, publicAddress } = this.#options
    const { current, keys } = this.#keys
    const address = publicAddress.includes(':') ? `[${publicAddress}]` : publicAddress
    return {
      six_pn_prefix: meshPrefix(host, current),
      mesh_public_key: keys[current]?.publicKey ?? '',
      mesh_endpoint: `${address}:${this.#portOf(current)}`,
      backhaul_ip: backhaulAddress(host),
    }
  }

  /** Rows of all hosts, this one among them; without it they are taken for not whole and change nothing. */
  async setRows(rows: Iterable<HostRow>, signal?: AbortSignal): Promise<void> {
    this.#read = readRows(rows)
    for (const problem of this.#read.problems) this.#options.log?.warn(problem.message)
    await this.#apply(signal)
  }

  /**
   * Begins to use a new key beside the old one. Write `ownColumns` to this host's row then; the old key goes
   * when all hosts that are heard use the new one.
   *
   * @throws Net6Error net6.host_unable: the last change is not over
   */
  async rotateKey(signal?: AbortSignal): Promise<void> {
    await this.#inTurn(async () => {
      const { current, keys } = this.#keys
      const next = otherGeneration(current)
      if (keys[next] !== undefined) {
        throw new Net6Error('net6.host_unable', {
          what: 'the last change of keys is not over',
          values: { generation: current },
          fix: 'try again in some minutes; godwit net status shows who is late',
        })
      }
      await this.#keep({ current: next, keys: { ...keys, [next]: generateMeshKey() } })
      await this.#ensureDevices(signal)
    })
    await this.#apply(signal)
  }

  /** Devices as they are now, by generation. */
  async devices(signal?: AbortSignal): Promise<Map<number, MeshDeviceState>> {
    const states = new Map<number, MeshDeviceState>()
    for (const generation of this.#generations) {
      const state = await readMeshDevice(this.#options.system, generation, signal)
      if (state !== undefined) states.set(generation, state)
    }
    return states
  }

  /** Stops looking. All that was made stays. */
  async close(): Promise<void> {
    this.#stop.abort()
    await this.#looking
    await Promise.allSettled([this.#turn]) // its caller was told how it ended
  }

  /** Takes the mesh away, for a host that leaves. */
  async destroy(): Promise<void> {
    await this.close()
    for (const generation of [0, 1]) {
      await removeMeshDevice(this.#options.system, this.#options.programs, generation)
    }
  }

  get #generations(): number[] {
    return Object.keys(this.#keys.keys).map(Number)
  }

  #portOf(generation: number): number {
    return (this.#options.port ?? MESH_PORT) + generation
  }

  async #keep(keys: MeshKeys): Promise<void> {
    await writeMeshKeys(keysFile(this.#options.folder), keys)
    this.#keys = keys
  }

  /** Looks again and again: for handshakes, after which old keys go, and for devices that died. */
  async #look(): Promise<void> {
    const { clock = systemClock, log } = this.#options
    const { signal } = this.#stop
    while (!signal.aborted) {
      try {
        await clock.sleep(LOOK_MS, signal)
        await this.#apply(signal)
      } catch (error) {
        if (!signal.aborted) log?.error({ err: error }, 'the mesh was not brought up to date')
      }
    }
  }

  #apply(signal?: AbortSignal): Promise<void> {
    return this.#inTurn(async () => {
      let devices = await this.devices(signal)
      if (this.#generations.some((generation) => !devices.has(generation))) {
        await this.#ensureDevices(signal)
        devices = await this.devices(signal)
      }
      const { hosts } = this.#read
      const { hostId: ownId, clock = systemClock } = this.#options
      const nowMs = clock.nowMs()
      const { current } = this.#keys
      const plan = planMesh({ hosts, ownId, current, devices, nowMs }, this.#memory)
      if (plan === undefined) return
      for (const [generation, device] of devices) {
        const stalled = plan.stalled.get(generation)
        const words = changesOf(device, plan.peers, { known: this.#endpoints, nowMs, stalled })
        if (words.length === 0) continue
        await this.#options.system.run('wg', ['set', meshDevice(generation), ...words], { signal })
      }
      this.#remember(plan)
      await this.#setRoutes(plan, signal)
      if (plan.isOldDeviceDone) await this.#retire(signal)
    })
  }

  #remember({ peers }: MeshPlan): void {
    this.#endpoints.clear()
    for (const { publicKey, endpoint } of peers) {
      if (endpoint !== undefined) this.#endpoints.set(publicKey, endpoint)
    }
  }

  async #setRoutes(plan: MeshPlan, signal?: AbortSignal): Promise<void> {
    const { system, programs } = this.#options
    const indexes = new Map<number, number>()
    for (const generation of this.#generations) {
      const path = `/sys/class/net/${meshDevice(generation)}/ifindex`
      indexes.set(generation, Number((await system.run('cat', [path], { signal })).stdout))
    }
    const entries = plan.routes.flatMap((route) => {
      const ifindex = indexes.get(route.localGeneration)
      return ifindex === undefined ? [] : [routeEntry({ ...route, ifindex })]
    })
    await programs.reconcile('hosts', entries, signal)
  }

  /** The old key goes, and its device. */
  async #retire(signal?: AbortSignal): Promise<void> {
    const { system, programs } = this.#options
    const { current, keys } = this.#keys
    const old = otherGeneration(current)
    await this.#keep({ current, keys: { [current]: keys[current] as (typeof keys)[number] } })
    await removeMeshDevice(system, programs, old, signal)
  }

  async #ensureDevices(signal?: AbortSignal): Promise<void> {
    const { system, programs, host, mtuBytes = MTU_BYTES } = this.#options
    for (const [text, key] of Object.entries(this.#keys.keys)) {
      const generation = Number(text)
      const listenPort = this.#portOf(generation)
      const spec = { generation, key, listenPort, mtuBytes }
      await ensureMeshDevice(system, programs, spec, signal)
    }
    const device = meshDevice(this.#keys.current)
    const route = ['-6', 'route', 'replace', BACKHAUL_PREFIX, 'dev', device]
    await system.run('ip', [...route, 'src', backhaulAddress(host)], { signal })
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work, work) // whoever came before told its own caller how it ended
    this.#turn = turn
    return await turn
  }
}

/** Of a host's state folder. */
export const keysFile = (folder: string) => join(folder, 'mesh-keys.json')
