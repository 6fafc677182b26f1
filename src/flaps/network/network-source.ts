import type { Socket } from 'node:net'

/** The private network that a connection comes from, and whose it is. */
export interface NetworkSource {
  /** Of the machine or the device: an address that its host has checked. */
  readonly address: string
  readonly organization: {
    /** As tokens have it. */
    readonly numericId: number
    readonly slug: string
  }
}

const sources = new WeakMap<object, NetworkSource>()

export const rememberNetwork = (socket: Socket, source: NetworkSource): void =>
  void sources.set(socket, source)

/** Undefined: it comes from outside. */
export const networkOf = (socket: object): NetworkSource | undefined => sources.get(socket)
