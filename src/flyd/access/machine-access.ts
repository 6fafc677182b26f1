import { connect, type Socket } from 'node:net'
import { type Duplex, duplexPair, pipeline } from 'node:stream'
import { type Clock, errorCode, type Log, startDeadline } from '#base'
import type { Agent } from '#guest'
import { checkCertificate, type Ed25519Key, serveSsh } from '#ssh'
import { refuse } from '../errors.ts'
import type { ConnectOptions } from '../host.ts'
import type { MachineSubject } from '../model/machine-subject.ts'
import type { SshAuthorities } from './gateway-authorities.ts'
import { guestTarget } from './guest-target.ts'

/** Taken by the machine's SSH server, as on every machine of the private network. */
export const SSH_PORT = 22
/** No port at all: the machine's files, by SFTP (version 3). For daemons of hosts alone: the API takes ports from 1. */
export const FILES_PORT = 0
const DIAL_MS_MAX = 5_000
const LOOPBACKS = ['127.0.0.1', '::1']

export interface MachineAccessOptions {
  readonly agentOf: (id: string, signal: AbortSignal) => Promise<Agent>
  /** Where this host reaches it. */
  readonly addressesOf: (id: string) => readonly string[]
  readonly authorities: SshAuthorities
  readonly hostKey: Ed25519Key
  readonly clock: Clock
  readonly log: Log
}

/** Connections into machines of this host. */
export class MachineAccess {
  readonly #options: MachineAccessOptions

  constructor(options: MachineAccessOptions) {
    this.#options = options
  }

  /** @throws FlydError flyd.state_bad: nothing listens there; AgentError */
  async connect(
    subject: MachineSubject,
    { port, from }: ConnectOptions,
    signal: AbortSignal,
  ): Promise<Duplex> {
    if (port === SSH_PORT) return this.#ssh(subject, from)
    if (port === FILES_PORT) return this.#files(subject, signal)
    for (const address of this.#options.addressesOf(subject.id)) {
      const socket = await dial(address, port, signal)
      if (socket !== undefined) return socket
    }
    const agent = await this.#options.agentOf(subject.id, signal)
    for (const address of LOOPBACKS) {
      try {
        return await agent.dial(address, port, { signal, deadlineMs: DIAL_MS_MAX })
      } catch (error) {
        if (errorCode(error) !== 'guest.request_failed') throw error
      }
    }
    throw refuse(
      'flyd.state_bad',
      `failed_precondition: nothing listens on port ${port} in machine ${subject.id}`,
    )
  }

  async #files({ id }: MachineSubject, signal: AbortSignal): Promise<Duplex> {
    const agent = await this.#options.agentOf(id, signal)
    const serving = await agent.sftp({ signal, deadlineMs: DIAL_MS_MAX })
    serving.stderr.resume()
    serving.ended.catch(() => undefined) // its output ends then, too
    const [ours, theirs] = duplexPair()
    // Whichever side ends, the other does.
    pipeline(ours, serving.stdin, () => serving.abandon())
    pipeline(serving.stdout, ours, () => serving.abandon())
    return theirs
  }

  /** The other end of what it returns is served, until either ends. */
  #ssh(subject: MachineSubject, from = 'api'): Duplex {
    const { hostKey, clock, log, authorities, agentOf } = this.#options
    const { id: machine, appId, orgSlug } = subject
    const [ours, theirs] = duplexPair()
    void serveSsh(ours, {
      hostKey,
      log: log.child({ machine, from }),
      admit: async (certificate, user) => {
        const signal = AbortSignal.timeout(DIAL_MS_MAX)
        const keys = await authorities(orgSlug, signal)
        checkCertificate(certificate, { authorities: keys, appId, user, nowMs: clock.nowMs() })
        const { keyId, serial } = certificate
        const used = { certificate: keyId, serial: String(serial) }
        log.info({ machine, from, user, ...used }, 'let in by ssh')
        return guestTarget(await agentOf(machine, signal), user)
      },
    })
    return theirs
  }
}

/** Undefined: nobody takes it there. @throws the signal's reason */
async function dial(
  address: string,
  port: number,
  signal: AbortSignal,
): Promise<Socket | undefined> {
  using deadline = startDeadline('the connection', DIAL_MS_MAX, { signal })
  const socket = connect({ host: address, port, noDelay: true, allowHalfOpen: true })
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const onAbort = () => resolve(false)
  socket.once('connect', () => resolve(true))
  socket.on('error', () => resolve(false))
  deadline.signal.addEventListener('abort', onAbort, { once: true })
  const isConnected = await promise
  deadline.signal.removeEventListener('abort', onAbort)
  if (isConnected) return socket
  socket.destroy()
  signal.throwIfAborted()
  return undefined
}
