import type { Duplex, Readable, Writable } from 'node:stream'
import ssh2, { type Connection, type ServerChannel, type Session } from 'ssh2'
import { type Log, shellWords } from '#base'
import { CERTIFICATE_TYPE, type Certificate, parseCertificate } from './certificate.ts'
import { type Ed25519Key, isSignedBy, rawSignature } from './ed25519-key.ts'

/** The machine behind a connection. */
export interface SshTarget {
  /** As `user`, who was let in. @throws error whose code ends in `not_found`: no such program */
  exec(command: SshCommand): Promise<SshProcess>
  /** Serves SFTP, version 3, on its streams. */
  sftp(): Promise<SshProcess>
  /** From inside the machine. @param address numeric, or `localhost` */
  dial(address: string, port: number): Promise<Duplex>
}

export interface SshCommand {
  readonly argv: readonly [string, ...string[]]
  readonly env: Readonly<Record<string, string>>
  readonly tty?: { readonly columns: number; readonly rows: number }
}

export interface SshProcess {
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
  readonly ended: Promise<{ readonly code: number } | { readonly signal: string }>
  resize(size: { readonly columns: number; readonly rows: number }): void
  signal(name: string): void
  abandon(): void
}

export interface SshServerOptions {
  readonly hostKey: Ed25519Key
  /** Gives what lies behind, or throws: the certificate is not good here, for this user. */
  readonly admit: (certificate: Certificate, user: string) => Promise<SshTarget>
  readonly log: Log
}

const HANDSHAKE_MS = 30_000
/** Clients offer each key that they have; what is no certificate costs next to nothing. */
const AUTHENTICATIONS_MAX = 20
const SESSIONS_MAX = 16
const ENV_MAX = 64
const ENV_CHARS_MAX = 32_768
const NOT_FOUND = 127
/** A terminal whose client says nothing of its size. */
const SIZE = { columns: 80, rows: 24 }
/** bash where the image has it. */
const SHELL = ['/bin/sh', '-c', 'exec "$(command -v bash || echo /bin/sh)" -l'] as const
const NO_SHELL =
  'this image has no /bin/sh; run one of its programs: godwit ssh console -C "PROGRAM ..."\n'

/**
 * Serves one SSH connection, whatever it came over. Only certificates let in: no password and no plain key
 * does. Resolves when it has ended; never rejects.
 */
export function serveSsh(socket: Duplex, options: SshServerOptions): Promise<void> {
  const { hostKey, log } = options
  const server = new ssh2.Server({ hostKeys: [hostKey.privatePem()], ident: 'godwit' })
  const { promise, resolve } = Promise.withResolvers<void>()
  socket.once('close', resolve)
  socket.on('error', () => socket.destroy())
  socket.once('end', () => socket.end()) // SSH knows no connection that is open one way
  // Not until its client is known: who says nothing, or hears nothing, must not keep it open.
  const late = setTimeout(() => socket.destroy(), HANDSHAKE_MS)
  socket.once('close', () => clearTimeout(late))
  server.on('connection', (connection: Connection) => {
    connection.once('ready', () => clearTimeout(late))
    new SshConnection(connection, options).begin()
  })
  server.on('error', (err: unknown) => log.warn({ err }, 'an ssh connection failed'))
  server.injectSocket(socket as never) // its types want a net.Socket; any stream does
  return promise
}

/** Client and machine, joined until one of them ends. */
class SshConnection {
  readonly #connection: Connection
  readonly #options: SshServerOptions
  readonly #processes = new Set<SshProcess>()
  #target: SshTarget | undefined
  #sessions = 0
  #authentications = 0

  constructor(connection: Connection, options: SshServerOptions) {
    this.#connection = connection
    this.#options = options
  }

  begin(): void {
    const connection = this.#connection
    connection.on('authentication', (context) => void this.#authenticate(context))
    connection.on('error', (err) => this.#options.log.debug({ err }, 'an ssh connection broke'))
    connection.on('close', () => {
      for (const process of this.#processes) process.abandon()
    })
    connection.on('session', (accept, reject) => {
      if (this.#sessions >= SESSIONS_MAX) return reject()
      this.#sessions += 1
      this.#serveSession(accept())
    })
    connection.on('tcpip', (accept, reject, { destIP, destPort }) => {
      this.#forward(destIP, destPort).then(
        (stream) => joinDuplex(accept(), stream),
        () => reject(),
      )
    })
  }

  async #authenticate(context: ssh2.AuthContext): Promise<void> {
    this.#authentications += 1
    if (this.#authentications > AUTHENTICATIONS_MAX) return void this.#connection.end()
    const refuse = () => context.reject(['publickey'])
    if (context.method !== 'publickey' || context.key.algo !== CERTIFICATE_TYPE) return refuse()
    try {
      const certificate = parseCertificate(context.key.data)
      const target = await this.#options.admit(certificate, context.username)
      if (context.signature === undefined) return context.accept() // it asks whether to sign
      const { blob = Buffer.alloc(0) } = context
      if (!isSignedBy(certificate.publicKey, blob, rawSignature(context.signature))) return refuse()
      this.#target = target
      context.accept()
    } catch (err) {
      this.#options.log.info({ err, user: context.username }, 'an ssh client is not let in')
      refuse()
    }
  }

  #forward(address: string, port: number): Promise<Duplex> {
    return this.#target?.dial(address, port) ?? Promise.reject(new Error('not authenticated'))
  }

  #serveSession(session: Session): void {
    const env: Record<string, string> = {}
    let tty: SshCommand['tty']
    let process: SshProcess | undefined
    const run = async (
      channel: ServerChannel,
      begin: (target: SshTarget) => Promise<SshProcess>,
    ) => {
      process = await this.#run(channel, async (target) => {
        takeContainer(env)
        return await begin(target)
      })
    }
    session.on('env', (accept, _reject, { key, val }) => {
      if (Object.keys(env).length < ENV_MAX && val.length <= ENV_CHARS_MAX) env[key] = val
      accept?.()
    })
    session.on('pty', (accept, _reject, { cols, rows, term }) => {
      tty = { columns: cols || SIZE.columns, rows: rows || SIZE.rows }
      env['TERM'] = term || 'xterm'
      accept?.()
    })
    session.on('window-change', (accept, _reject, { cols, rows }) => {
      process?.resize({ columns: cols, rows })
      accept?.()
    })
    session.on('signal', (accept, _reject, { name }) => {
      process?.signal(`SIG${name}`)
      accept?.()
    })
    session.on('shell', (accept) => {
      void run(accept(), (target) => target.exec({ argv: SHELL, env, ...(tty && { tty }) }))
    })
    session.on('exec', (accept, _reject, { command }) => {
      const around = { env, ...(tty && { tty }) }
      void run(accept(), (target) => execLine(target, command, around))
    })
    session.on('subsystem', (accept, reject, { name }) => {
      if (name !== 'sftp') return reject()
      void run(accept(), (target) => target.sftp())
    })
    session.on('close', () => {
      this.#sessions -= 1
      process?.abandon()
    })
  }

  /** Until the process has ended and its client has all of it. */
  async #run(
    channel: ServerChannel,
    begin: (target: SshTarget) => Promise<SshProcess>,
  ): Promise<SshProcess | undefined> {
    channel.on('error', () => channel.close())
    let process: SshProcess
    try {
      if (this.#target === undefined) throw new Error('not authenticated')
      process = await begin(this.#target)
    } catch (error) {
      channel.stderr.write(`${messageOf(error)}\n`)
      channel.exit(NOT_FOUND)
      channel.end()
      return undefined
    }
    this.#processes.add(process)
    const { stdin, stdout, stderr } = process
    stdin.on('error', () => undefined) // it may end without reading all
    channel.pipe(stdin)
    stdout.pipe(channel, { end: false })
    stderr.pipe(channel.stderr, { end: false })
    channel.once('close', () => process.abandon())
    void this.#finish(channel, process)
    return process
  }

  async #finish(channel: ServerChannel, process: SshProcess): Promise<void> {
    const read = [process.stdout, process.stderr].map(ended)
    try {
      const ending = await process.ended
      await Promise.all(read)
      if ('signal' in ending) channel.exit(ending.signal.replace(/^SIG/, ''), false, '')
      else channel.exit(ending.code)
    } catch (error) {
      channel.stderr.write(`${messageOf(error)}\n`)
      channel.exit(255)
    } finally {
      this.#processes.delete(process)
      channel.end()
    }
  }
}

async function execLine(
  target: SshTarget,
  command: string,
  around: Omit<SshCommand, 'argv'>,
): Promise<SshProcess> {
  try {
    return await target.exec({ argv: ['/bin/sh', '-c', command], ...around })
  } catch (error) {
    if (!isNotFound(error)) throw error
    const [program, ...words] = shellWords(command) ?? []
    if (program === undefined) throw new Error(NO_SHELL)
    return await target.exec({ argv: [program, ...words], ...around })
  }
}

const CONTAINER = 'FLY_SSH_CONTAINER'
const MACHINE = 'FLY_SSH_MACHINE'

/**
 * How clients say where in a machine: in a container of it by name, or outside all of them. There is one container, the
 * machine itself. Takes both out of what the program gets to see. Source: flyctl, ssh/client.go.
 */
function takeContainer(env: Record<string, string>): void {
  const container = env[CONTAINER] ?? ''
  const isOutside = (env[MACHINE] ?? '') !== ''
  delete env[CONTAINER]
  delete env[MACHINE]
  if (container === '') return
  if (isOutside) throw new Error(`${CONTAINER} and ${MACHINE} exclude each other`)
  throw new Error(`the machine has no container ${container}`)
}

function ended(stream: Readable): Promise<void> {
  if (stream.readableEnded || stream.destroyed) return Promise.resolve()
  return new Promise((resolve) => {
    for (const event of ['end', 'close', 'error']) stream.once(event, () => resolve())
  })
}

/** Both ways, ends included; what breaks on one side breaks the other. */
export function joinDuplex(one: Duplex, other: Duplex): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.on('error', () => to.destroy())
    from.once('close', () => {
      if (!from.readableEnded || !from.writableFinished) to.destroy()
    })
    from.pipe(to)
  }
}

const isNotFound = (error: unknown) =>
  String((error as { code?: unknown })?.code ?? '').endsWith('not_found')

const messageOf = (error: unknown) =>
  isNotFound(error) ? NO_SHELL.trim() : error instanceof Error ? error.message : String(error)
