/** For tests: a network for one machine, with a peer at its other end. */
import { type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { systemRandom } from '#base'
import type { GuestConfig } from '../agent/machine-config.ts'
import type { GuestNetwork } from '../guest-spec.ts'

const MAC = '02:67:6f:64:77:69'
const GUEST = '10.77.0.2'
const PEER = '10.77.0.1'
const NAME_BYTES = 4

/**
 * Two namespaces and a link between them for a container; for a virtual machine one, in which there is a
 * tap. Disposing removes them, and with them whatever runs in them.
 */
export class TrialNetwork implements Disposable {
  readonly guestAddress = GUEST
  readonly spec: GuestNetwork
  readonly config: Pick<GuestConfig, 'links' | 'addresses'>
  readonly #names: readonly string[]
  readonly #peerName: string

  constructor(isVirtual: boolean) {
    const name = `gg-${Buffer.from(systemRandom.bytes(NAME_BYTES)).toString('hex')}`
    this.#peerName = isVirtual ? name : `${name}-p`
    this.#names = isVirtual ? [name] : [name, this.#peerName]
    const device = isVirtual ? 'tap0' : 'eth0'
    this.spec = { netnsPath: `/run/netns/${name}`, device, mac: MAC }
    const link = 'eth0'
    this.config = { links: [{ name: link }], addresses: [{ link, cidr: `${GUEST}/24` }] }
    for (const one of this.#names) ip('netns', 'add', one)
    if (isVirtual) ip('-n', name, 'tuntap', 'add', 'tap0', 'mode', 'tap')
    else this.#makeContainerLink(name)
    const peerDevice = isVirtual ? 'tap0' : 'peer0'
    ip('-n', this.#peerName, 'address', 'add', `${PEER}/24`, 'dev', peerDevice)
    ip('-n', this.#peerName, 'link', 'set', peerDevice, 'up')
  }

  /** A TCP connection from the peer's end: what it reads and writes are the process's pipes. */
  connect(port: number): ChildProcessByStdio<Writable, Readable, null> {
    const words = ['netns', 'exec', this.#peerName, 'busybox', 'nc', GUEST, String(port)]
    return spawn('ip', words, { stdio: ['pipe', 'pipe', 'inherit'] })
  }

  [Symbol.dispose](): void {
    for (const one of this.#names) ip('netns', 'delete', one)
  }

  #makeContainerLink(name: string): void {
    const peer = ['peer', 'name', 'peer0', 'netns', this.#peerName]
    ip('-n', name, 'link', 'add', 'eth0', 'address', MAC, 'type', 'veth', ...peer)
    ip('-n', name, 'address', 'add', `${GUEST}/24`, 'dev', 'eth0')
    ip('-n', name, 'link', 'set', 'eth0', 'up')
  }
}

const ip = (...words: string[]) =>
  execFileSync('ip', words, { stdio: ['ignore', 'ignore', 'pipe'] })
