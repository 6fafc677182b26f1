import { TcpChannel } from '../net/channel.ts'
import { BROKEN, WRITABLE } from '../net/event-loop.ts'
import { openConnection, socketError } from '../net/socket.ts'
import { encodeSocketAddress, type SocketAddress } from '../net/socket-address.ts'
import type { ToRemote } from '../route.ts'
import { BackendConnection, type BackendKind } from './backend-connection.ts'
import type { BackendOwner } from './backend-owner.ts'
import { type RemoteClient, RemoteConnection } from './remote-connection.ts'

/** Machines whose pools are remembered; the emptiest go first. */
const MACHINES_MAX = 10_000
const ECONNREFUSED = 111
const SOCKET_BROKE = 0x008 // EPOLLERR

/** One machine's port: its idle connections, the most recently used last. */
class MachinePool {
  readonly #owner: BackendOwner
  readonly address: SocketAddress
  readonly idle: BackendConnection[] = []

  constructor(owner: BackendOwner, address: string, port: number) {
    this.#owner = owner
    this.address = encodeSocketAddress(address, port)
  }

  /** Begins a new connection. @returns the negated errno when that failed at once. */
  connect(): BackendConnection | number {
    const fd = openConnection(this.address)
    if (fd < 0) return fd
    const connection = new BackendConnection(this.#owner, new TcpChannel(fd), this.#kindOf(fd))
    this.#owner.loop.add(fd, connection)
    return connection
  }

  #kindOf(fd: number): BackendKind {
    return {
      connectResult: (flags) => connectResult(fd, flags),
      ended: (connection) => this.#give(connection),
      disturbed: (connection) => this.#discard(connection),
    }
  }

  #give(connection: BackendConnection): void {
    if (this.idle.length >= this.#owner.limits.idlePerMachineMax || this.#owner.isDraining) {
      connection.close()
      return
    }
    connection.idleSinceMs = this.#owner.loop.nowMs
    connection.isDoubtful = true
    this.idle.push(connection)
  }

  #discard(connection: BackendConnection): void {
    const index = this.idle.lastIndexOf(connection)
    if (index >= 0) this.idle.splice(index, 1)
    connection.close()
  }
}

function connectResult(fd: number, flags: number): string | undefined {
  if ((flags & (WRITABLE | BROKEN)) === 0) return undefined
  const error = socketError(fd)
  if (error === 0 && (flags & SOCKET_BROKE) === 0) return ''
  return error === ECONNREFUSED ? 'PC01' : 'PC06'
}

/** Idle connections to machines, the most recently used first, each kept a few seconds. */
export class BackendPool {
  readonly #owner: BackendOwner
  /** By address, then by port: a joined key would be a new string for each request. */
  readonly #machines = new Map<string, Map<number, MachinePool>>()

  constructor(owner: BackendOwner) {
    this.#owner = owner
  }

  /** An idle connection; undefined when there is none. HOT. */
  takeIdle(address: string, port: number): BackendConnection | undefined {
    return this.#machines.get(address)?.get(port)?.idle.pop()
  }

  /** Begins a new connection. @returns the negated errno when that failed at once. */
  connect(address: string, port: number): BackendConnection | number {
    const connection = this.#machine(address, port).connect()
    if (typeof connection !== 'number') this.#count()
    return connection
  }

  /** The same through the proxy of another host. @returns undefined: there is no way to it now. */
  connectRemote(to: ToRemote, client: RemoteClient): BackendConnection | undefined {
    const connection = RemoteConnection.open(this.#owner, to, client)
    if (connection !== undefined) this.#count()
    return connection
  }

  #count(): void {
    this.#owner.counters.backendsOpen += 1
    this.#owner.counters.backendConnects += 1
  }

  #machine(address: string, port: number): MachinePool {
    let ports = this.#machines.get(address)
    if (ports === undefined) {
      if (this.#machines.size >= MACHINES_MAX) this.#forgetEmpty()
      ports = new Map()
      this.#machines.set(address, ports)
    }
    let machine = ports.get(port)
    if (machine === undefined) {
      machine = new MachinePool(this.#owner, address, port)
      ports.set(port, machine)
    }
    return machine
  }

  #forgetEmpty(): void {
    for (const [address, ports] of this.#machines) {
      const isEmpty = [...ports.values()].every(({ idle }) => idle.length === 0)
      if (isEmpty) this.#machines.delete(address)
    }
  }

  *#all(): Iterable<MachinePool> {
    for (const ports of this.#machines.values()) yield* ports.values()
  }

  /** Closes what has been idle too long. */
  sweep(nowMs: number): void {
    const oldestMs = nowMs - this.#owner.limits.backendIdleMs
    for (const { idle } of this.#all()) {
      let count = 0
      while (count < idle.length && (idle[count] as BackendConnection).idleSinceMs < oldestMs)
        count += 1
      if (count > 0) for (const connection of idle.splice(0, count)) connection.close()
    }
  }

  closeAll(): void {
    for (const { idle } of this.#all()) {
      for (const connection of idle.splice(0)) connection.close()
    }
  }
}
