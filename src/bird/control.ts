import { connect } from 'node:net'
import { type BfdSession, parseBfdSessions } from './bfd-session.ts'
import { BirdError } from './errors.ts'
import { type BirdReply, ReplyParser } from './reply.ts'

const COMMAND_DEADLINE_MS = 5_000

/** The state of one of BIRD's protocols, as `show protocols` lists it. */
export interface ProtocolState {
  readonly name: string
  /** `BGP`, `Static`, `Kernel`, `Device`, ... */
  readonly kind: string
  readonly isUp: boolean
  /** BGP: `Established`, `Active`, ...; empty for most others. */
  readonly info: string
}

/**
 * A BIRD daemon, by its control socket. Holds no connection: each call makes one, so a daemon that was
 * restarted between two calls is simply met again.
 *
 * Every method throws BirdError: `bird.unreachable` (try again later) or `bird.refused`.
 */
export class BirdControl {
  readonly socketPath: string

  constructor(socketPath: string) {
    this.socketPath = socketPath
  }

  /** Sends one command line and gives BIRD's whole reply. */
  async command(line: string, signal?: AbortSignal): Promise<BirdReply> {
    const deadline = AbortSignal.timeout(COMMAND_DEADLINE_MS)
    const either = signal === undefined ? deadline : AbortSignal.any([signal, deadline])
    const reply = await exchange(this.socketPath, line, either)
    if (reply.code < 8000) return reply
    throw new BirdError('bird.refused', {
      what: 'BIRD refused a command',
      values: { command: line, reply: reply.lines.map(({ text }) => text).join(' ') },
    })
  }

  /** Starts a protocol; a static protocol's routes are announced from now on. May run twice. */
  async enable(protocol: string, signal?: AbortSignal): Promise<void> {
    await this.command(`enable ${protocol}`, signal)
  }

  /** Stops a protocol; a static protocol's routes are withdrawn from every neighbour. May run twice. */
  async disable(protocol: string, signal?: AbortSignal): Promise<void> {
    await this.command(`disable ${protocol}`, signal)
  }

  /** Every protocol of the daemon. */
  async protocols(signal?: AbortSignal): Promise<ProtocolState[]> {
    const reply = await this.command('show protocols', signal)
    return parseProtocols(reply)
  }

  /**
   * Has the daemon read a configuration file, whose path has no quotes. What was enabled by hand is as the file says.
   * @throws BirdError also bird.refused: the file is wrong, and what was there counts on
   */
  async configure(path: string, signal?: AbortSignal): Promise<void> {
    await this.command(`configure "${path}"`, signal)
  }

  /** Every BFD session; none where the configuration has no BFD. */
  async bfdSessions(signal?: AbortSignal): Promise<BfdSession[]> {
    try {
      return parseBfdSessions(await this.command('show bfd sessions', signal))
    } catch (error) {
      if (error instanceof BirdError && error.code === 'bird.refused') return [] // there is no BFD protocol
      throw error
    }
  }
}

/** Rows of `show protocols` (code 1002): name, kind, table, state, since, info. */
export function parseProtocols(reply: BirdReply): ProtocolState[] {
  const states: ProtocolState[] = []
  for (const { code, text } of reply.lines) {
    if (code !== 1002) continue
    const [name = '', kind = '', , state = '', , ...info] = text.trim().split(/\s+/)
    states.push({ name, kind, isUp: state === 'up', info: info.join(' ') })
  }
  return states
}

function exchange(path: string, line: string, signal: AbortSignal): Promise<BirdReply> {
  return new Promise((resolve, reject) => {
    const parser = new ReplyParser()
    const socket = connect({ path })
    let isGreeted = false
    const finish = (error: unknown, reply?: BirdReply) => {
      signal.removeEventListener('abort', onAbort)
      socket.destroy()
      if (reply !== undefined) resolve(reply)
      else if (error instanceof BirdError) reject(error)
      else reject(unreachable(path, error))
    }
    const onAbort = () => finish(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    socket.setEncoding('utf8')
    socket.on('error', finish)
    socket.on('close', () => finish(new Error('closed before the reply')))
    socket.on('data', (chunk: string) => {
      try {
        for (const reply of parser.push(chunk)) {
          if (isGreeted) return finish(undefined, reply)
          isGreeted = true // the first reply, code 0001, is the greeting
          socket.write(`${line}\n`)
        }
      } catch (error) {
        finish(error)
      }
    })
  })
}

function unreachable(socket: string, cause: unknown): BirdError {
  return new BirdError('bird.unreachable', {
    what: 'no answer from BIRD',
    values: { socket, why: cause instanceof Error ? cause.message : String(cause) },
    fix: 'see whether the daemon runs and its log',
    cause,
  })
}
