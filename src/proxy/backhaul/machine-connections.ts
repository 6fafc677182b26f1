import { connect, type Socket } from 'node:net'
import type { Clock } from '#base'

/** Unused for so long, a connection is closed: what the documentation of `type=requests` gives. */
const IDLE_MS = 4_000
const IDLE_PER_MACHINE_MAX = 128

/** Connections to machines of this host that have done one exchange and may do another. */
export class MachineConnections {
  readonly #clock: Clock
  readonly #idle = new Map<string, Socket[]>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** One that is idle, or a new one that is still connecting. */
  take(address: string, port: number): Socket {
    const idle = this.#idle.get(keyOf(address, port))
    for (let socket = idle?.pop(); socket !== undefined; socket = idle?.pop()) {
      forget(socket)
      if (socket.writable && !socket.readableEnded) return socket
      socket.destroy()
    }
    const socket = connect({ host: address, port, allowHalfOpen: true })
    socket.setNoDelay(true)
    return socket
  }

  /** Keeps one whose exchange is whole. It is the pool's from now on. */
  give(address: string, port: number, socket: Socket): void {
    const key = keyOf(address, port)
    const idle = this.#idle.get(key) ?? []
    if (idle.length >= IDLE_PER_MACHINE_MAX || !socket.writable || socket.readableEnded) {
      socket.destroy()
      return
    }
    this.#idle.set(key, idle)
    idle.push(socket)
    const drop = () => {
      const at = idle.indexOf(socket)
      if (at >= 0) idle.splice(at, 1)
      if (idle.length === 0 && this.#idle.get(key) === idle) this.#idle.delete(key)
      timer[Symbol.dispose]()
      socket.destroy()
    }
    const timer = this.#clock.setTimer(drop, IDLE_MS)
    socket.on('data', drop) // bytes that nobody asked for
    socket.on('end', drop)
    socket.on('close', drop)
    socket.on('error', drop)
    timers.set(socket, timer)
    socket.resume()
  }

  get idleCount(): number {
    let count = 0
    for (const sockets of this.#idle.values()) count += sockets.length
    return count
  }

  close(): void {
    for (const sockets of [...this.#idle.values()]) {
      for (const socket of [...sockets]) {
        forget(socket)
        socket.destroy()
      }
    }
    this.#idle.clear()
  }
}

const timers = new WeakMap<Socket, Disposable>()
const keyOf = (address: string, port: number) => `${address} ${port}`

function forget(socket: Socket): void {
  timers.get(socket)?.[Symbol.dispose]()
  timers.delete(socket)
  socket.pause()
  for (const event of ['data', 'end', 'close', 'error']) socket.removeAllListeners(event)
}
