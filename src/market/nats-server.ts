import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { Log } from '#base'
import { type Policy, SupervisedProcess, signalPid } from '#supervise'
import { MarketError } from './errors.ts'
import { type NatsServerConfig, natsServerConfig } from './nats-config.ts'

/** Root-owned daemons of Debian live outside the PATH of other users. */
const PATH = `${process.env['PATH'] ?? ''}:/usr/sbin:/usr/local/sbin`

export interface NatsServerOptions {
  readonly config: NatsServerConfig
  /** Holds the configuration and the pid file; made when it is not there. */
  readonly folder: string
  readonly log: Log
  readonly policy?: Partial<Policy>
  /** For the first start. */
  readonly signal?: AbortSignal
}

/** A nats-server that is kept running. */
export interface NatsServer extends AsyncDisposable {
  readonly url: string
  /** Undefined while none lives. */
  readonly pid: number | undefined
  readonly restarts: number
  /**
   * Other users, from now on: hosts that came or went. Connections of users that are gone are cut.
   *
   * @throws MarketError market.server_failed: none runs that could be told.
   */
  setUsers(users: NatsServerConfig['users']): void
  /** Resolves when it takes connections. @throws SuperviseError, or the signal's reason */
  ready(signal?: AbortSignal): Promise<void>
}

/** Starts nats-server (Debian's package) and waits until it takes connections. */
export async function startNatsServer(options: NatsServerOptions): Promise<NatsServer> {
  const { folder, log, policy, signal } = options
  const { config } = options
  const file = join(folder, 'nats-server.json')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  writeConfig(file, config)
  const server = new SupervisedProcess({
    name: 'nats-server',
    command: 'nats-server',
    args: ['--config', file],
    env: { ...process.env, PATH },
    log,
    pidFile: join(folder, 'nats-server.pid'),
    probe: (deadline) => greet(config.listen, deadline),
    ...(policy === undefined ? {} : { policy }),
  })
  await server.start(signal)
  try {
    await server.ready(signal)
  } catch (error) {
    await server.stop()
    throw error
  }
  return {
    url: `nats://${config.listen}`,
    get pid() {
      return server.pid
    },
    get restarts() {
      return server.restarts
    },
    ready: (readySignal) => server.ready(readySignal),
    setUsers(users) {
      writeConfig(file, { ...config, users })
      reload(server)
    },
    [Symbol.asyncDispose]: () => server.stop(),
  }
}

/** Whole or not at all: the server may start anew at any moment. */
function writeConfig(file: string, config: NatsServerConfig): void {
  writeFileSync(`${file}.new`, natsServerConfig(config), { mode: 0o600 })
  renameSync(`${file}.new`, file)
}

/** Source: nats-server documentation, "Signals": SIGHUP reads the configuration again. */
function reload(server: SupervisedProcess): void {
  const { pid } = server
  if (pid !== undefined && signalPid(pid, 'SIGHUP')) return
  throw new MarketError('market.server_failed', {
    what: 'no nats-server runs that could read its new users',
    values: { state: server.state },
    fix: 'it reads them when it starts',
  })
}

/** A server says INFO to whoever connects. Source: NATS client protocol, "INFO". */
function greet(listen: string, signal: AbortSignal): Promise<void> {
  const at = listen.lastIndexOf(':')
  const host = listen.slice(0, at).replaceAll(/[[\]]/g, '')
  const socket = connect({ host, port: Number(listen.slice(at + 1)), signal })
  return new Promise<void>((resolve, reject) => {
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('it hung up')))
    socket.once('data', (bytes) => {
      if (bytes.toString('latin1').startsWith('INFO ')) resolve()
      else reject(new Error('whoever listens there is no NATS server'))
    })
  }).finally(() => socket.destroy())
}
