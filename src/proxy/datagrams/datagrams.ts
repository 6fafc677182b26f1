import type { Clock, Log, Random } from '#base'
import type { EventLoop } from '../net/event-loop.ts'
import { AF_INET, close } from '../net/libc.ts'
import { Memory } from '../net/memory.ts'
import { localAddress, openDatagramSocket } from '../net/socket.ts'
import type { Counters } from '../observe/counters.ts'
import type { RoutingTable } from '../routing-table/routing-table.ts'
import type { DatagramDrop } from './datagram-drop.ts'
import { type DatagramHead, DatagramKind, readHead, writeHead } from './datagram-frame.ts'
import { DatagramSocket, datagram, hadRoom, MARGIN_BYTES, sender } from './datagram-socket.ts'
import { EdgeFlows } from './edge-flows.ts'
import { type Endpoint, ipOf, numberOf } from './endpoint.ts'
import type { HandedFlows } from './handed-flows.ts'
import { type ReadPacket, readPacket, writePacketHead } from './ipv4-packet.ts'
import {
  type MachineAnswer,
  type MachineWire,
  type OpenMachineWire,
  openMachineWire,
} from './machine-wire.ts'
import { MeshHosts } from './mesh-hosts.ts'
import { WorkerFlows } from './worker-flows.ts'

export interface DatagramsOptions {
  readonly loop: EventLoop
  readonly table: RoutingTable
  readonly counters: Counters
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Where this host's proxy hears others; all hosts' are at the same port. Undefined: it serves its own machines alone. */
  readonly mesh: { readonly address: string; readonly port: number } | undefined
  /** Datagrams go to this host, which says nothing of its own: the loss of its path is to be noticed. */
  readonly watchHost?: (hostId: string, address: string) => void
  /** Of the process before: what this one goes on with. Its descriptors are this one's. */
  readonly inherited?: InheritedDatagrams
  /** @default openMachineWire */
  readonly openWire?: OpenMachineWire
}

export interface InheritedDatagrams {
  readonly mesh: number | undefined
  readonly machines: number | undefined
  readonly flows: HandedFlows
}

const SWEEP_MS = 5_000

/**
 * Public UDP of this host, edge and worker in one: sockets of services, a socket on the mesh, and the wire to the
 * machines. A datagram is handed on at once or dropped and counted; nothing waits.
 */
export class Datagrams implements Disposable {
  readonly #options: DatagramsOptions
  readonly #own: string
  readonly #edge: EdgeFlows
  readonly #worker: WorkerFlows
  readonly #hosts: MeshHosts | undefined
  readonly #mesh: DatagramSocket | undefined
  /** By the number of their end. */
  readonly #services = new Map<number, DatagramSocket>()
  readonly #client = new Memory(16) // struct sockaddr_in
  #wire: MachineWire | undefined
  #isWireRefused = false
  #isClosed = false
  #timer: Disposable | undefined

  /** @throws ProxyError proxy.listen_failed of the address on the mesh */
  constructor(options: DatagramsOptions) {
    const { loop, table, random, mesh, inherited } = options
    this.#options = options
    this.#own = table.topology.ownHostId
    this.#edge = new EdgeFlows(table, random)
    this.#worker = new WorkerFlows(table)
    this.#client.bytes.writeUInt16LE(AF_INET, 0)
    if (mesh !== undefined) {
      this.#hosts = new MeshHosts(table.topology, mesh.port)
      const fd = inherited?.mesh ?? openDatagramSocket(mesh.address, mesh.port)
      this.#mesh = new DatagramSocket(loop, fd, (length) => this.#count(this.#fromMesh(length)))
    }
    if (inherited !== undefined) {
      this.#edge.adopt(inherited.flows.edge, this.#nowMs())
      this.#worker.adopt(inherited.flows.worker, this.#nowMs())
      if (inherited.machines !== undefined) this.#openWire(inherited.machines)
    }
    this.#sweep()
  }

  /** Takes datagrams of clients from one more descriptor, which is the caller's. */
  listen(fd: number): void {
    const { address, port } = localAddress(fd)
    const at = { ip: ipOf(address), port }
    const socket = new DatagramSocket(this.#options.loop, fd, (length) =>
      this.#count(this.#fromClient(at, length)),
    )
    this.#services.set(numberOf(at), socket)
  }

  unlisten(fd: number): void {
    for (const [key, socket] of this.#services) {
      if (socket.fd !== fd) continue
      socket.close()
      this.#services.delete(key)
    }
  }

  /** What a process that follows goes on with, beside the sockets of services. */
  get sockets(): { readonly mesh: number | undefined; readonly machines: number | undefined } {
    return { mesh: this.#mesh?.fd, machines: this.#wire?.hearing }
  }

  /** Reads no more: what comes waits in the sockets for the process that follows. @returns what it goes on with */
  handOver(): HandedFlows {
    const nowMs = this.#nowMs()
    const flows = { edge: this.#edge.handOver(nowMs), worker: this.#worker.handOver(nowMs) }
    this[Symbol.dispose]()
    return flows
  }

  /** Ends all flows. */
  [Symbol.dispose](): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#timer?.[Symbol.dispose]()
    for (const socket of this.#services.values()) socket.close()
    this.#services.clear()
    this.#worker.flows.clear()
    this.#edge.flows.clear()
    this.#wire?.close()
    this.#wire = undefined
    this.#isWireRefused = true
    if (this.#mesh === undefined) return
    this.#mesh.close()
    close(this.#mesh.fd)
  }

  #fromClient(service: Endpoint, length: number): DatagramDrop | undefined {
    const { counters, table, watchHost } = this.#options
    const client = clientOf(sender)
    counters.bytesIn += length
    const to = this.#edge.fromClient(service, client, length, this.#nowMs())
    if (typeof to === 'string') return to
    counters.datagramsIn += 1
    const head = { kind: DatagramKind.toMachine, client, service, machine: to.machine }
    if (to.hostId === this.#own) return this.#deliver(this.#own, head, MARGIN_BYTES, length)
    const { backhaulAddress } = table.topology.host(to.hostId)
    if (backhaulAddress !== '') watchHost?.(to.hostId, backhaulAddress)
    return this.#send(to.hostId, head, MARGIN_BYTES, length)
  }

  #fromMesh(length: number): DatagramDrop | undefined {
    const hostId = this.#hosts?.hostAt(sender)
    if (hostId === undefined) return 'unknown_host'
    const end = MARGIN_BYTES + length
    const head = hadRoom(length) ? readHead(datagram.bytes, MARGIN_BYTES, end) : undefined
    if (head === undefined) return 'malformed'
    const { kind, payloadAt } = head
    if (kind === DatagramKind.refused) return this.#refused(hostId, head)
    return kind === DatagramKind.toMachine
      ? this.#deliver(hostId, head, payloadAt, end - payloadAt)
      : this.#toClient(hostId, head, payloadAt, end - payloadAt)
  }

  /** To a machine of this host. */
  #deliver(
    edgeId: string,
    head: DatagramHead,
    payloadAt: number,
    length: number,
  ): DatagramDrop | undefined {
    const to = this.#worker.fromEdge(edgeId, head, this.#nowMs())
    if (to === 'refused') {
      return edgeId === this.#own
        ? this.#refused(edgeId, head)
        : this.#send(edgeId, { ...head, kind: DatagramKind.refused }, MARGIN_BYTES, 0)
    }
    const ends = { from: head.client, to }
    const start = writePacketHead(datagram.bytes, payloadAt, length, ends)
    const wire = this.#openWire()
    const isSent = wire?.send(datagram, start, payloadAt + length - start, to.ip) === true
    return isSent ? undefined : 'unsent'
  }

  /** A machine of this host has sent something from its address of fly-global-services. */
  #answered({ start, length, machine, segmentBytes }: MachineAnswer): void {
    const packet = readPacket(datagram.bytes, start, length)
    if (typeof packet === 'string') {
      this.#count(packet)
      return
    }
    const { payloadAt, payloadBytes } = packet
    const end = payloadAt + payloadBytes
    const step = segmentBytes > 0 ? segmentBytes : Math.max(1, payloadBytes)
    // Headers are written over the end of the part before, which is gone by then.
    for (let at = payloadAt; at === payloadAt || at < end; at += step) {
      this.#count(this.#toEdge(packet, machine, at, Math.min(step, end - at)))
    }
  }

  #toEdge(
    { from, to: client }: ReadPacket,
    machine: string,
    payloadAt: number,
    payloadBytes: number,
  ): DatagramDrop | undefined {
    const flow = this.#worker.fromMachine(machine, from, client, payloadBytes, this.#nowMs())
    if (typeof flow === 'string') return flow
    const head = { kind: DatagramKind.toClient, client, service: flow.to, machine }
    return flow.edgeId === this.#own
      ? this.#toClient(this.#own, head, payloadAt, payloadBytes)
      : this.#send(flow.edgeId, head, payloadAt, payloadBytes)
  }

  /** From the address that the client spoke to. */
  #toClient(
    hostId: string,
    head: DatagramHead,
    payloadAt: number,
    length: number,
  ): DatagramDrop | undefined {
    const { counters } = this.#options
    const drop = this.#edge.fromWorker(hostId, head, this.#nowMs())
    if (drop !== undefined) return drop
    const service = this.#services.get(numberOf(head.service))
    if (service === undefined) return 'no_service'
    this.#client.bytes.writeUInt16BE(head.client.port, 2)
    this.#client.bytes.writeUInt32BE(head.client.ip, 4)
    const to = { memory: this.#client, bytes: this.#client.size }
    if (!service.send(datagram, payloadAt, length, to)) return 'unsent'
    counters.datagramsOut += 1
    counters.bytesOut += length
    return undefined
  }

  #refused(hostId: string, head: DatagramHead): DatagramDrop {
    this.#edge.refused(hostId, head, this.#nowMs())
    return 'refused'
  }

  /** To the proxy of another host. */
  #send(
    hostId: string,
    head: DatagramHead,
    payloadAt: number,
    length: number,
  ): DatagramDrop | undefined {
    const to = this.#hosts?.addressOf(hostId)
    const start = writeHead(datagram.bytes, payloadAt, head)
    const isSent =
      to !== undefined &&
      start !== undefined &&
      this.#mesh?.send(datagram, start, payloadAt + length - start, to) === true
    return isSent ? undefined : 'unsent'
  }

  /** Opened with the first datagram for a machine of this host: others pay nothing for it. */
  #openWire(inherited?: number): MachineWire | undefined {
    if (this.#wire !== undefined || this.#isWireRefused) return this.#wire
    const { loop, log, openWire = openMachineWire } = this.#options
    try {
      this.#wire = openWire(loop, (answer) => this.#answered(answer), inherited)
    } catch (error) {
      this.#isWireRefused = true
      log.error({ err: error }, 'public UDP reaches no machine of this host')
    }
    return this.#wire
  }

  #count(drop: DatagramDrop | undefined): void {
    if (drop !== undefined) this.#options.counters.datagramDrop(drop)
  }

  #nowMs(): number {
    return this.#options.clock.monotonicMs()
  }

  #sweep(): void {
    const { clock, counters } = this.#options
    for (const [side, { flows }] of [
      ['edge', this.#edge],
      ['worker', this.#worker],
    ] as const) {
      flows.sweep(clock.monotonicMs())
      counters.datagramFlows.set(side, flows.size)
      counters.datagramEvictions.set(side, flows.evictedCount)
    }
    this.#timer = clock.setTimer(() => this.#sweep(), SWEEP_MS)
  }
}

const clientOf = ({ bytes }: Memory): Endpoint => ({
  ip: bytes.readUInt32BE(4),
  port: bytes.readUInt16BE(2),
})
