import type { Duplex } from 'node:stream'
import ssh2, { type Client, type ClientChannel, type SFTPWrapper } from 'ssh2'
import { CERTIFICATE_TYPE, parseCertificateLine } from './certificate.ts'
import type { Ed25519Key } from './ed25519-key.ts'
import { SshError } from './errors.ts'

export interface SshClientOptions {
  readonly user: string
  readonly key: Ed25519Key
  /** The line of a certificate for that key. */
  readonly certificate: string
}

const HANDSHAKE_MS = 30_000
const KEEPALIVE_MS = 15_000

export interface SshPty {
  readonly term: string
  readonly columns: number
  readonly rows: number
}

/** A connection to the SSH server of a machine. Disposing ends it with all that runs on it. */
export class SshClient implements Disposable {
  readonly #client: Client

  private constructor(client: Client) {
    this.#client = client
  }

  /**
   * Over a stream that is connected. The host's key is not looked at: who answers follows from where the
   * stream leads.
   *
   * @throws SshError ssh.certificate_refused, ssh.connection_failed, ssh.key_bad
   */
  static connect(stream: Duplex, options: SshClientOptions): Promise<SshClient> {
    const client = new ssh2.Client()
    const { user, key, certificate } = options
    const identity = { type: 'publickey', username: user, key: identityOf(key, certificate) }
    const methods = [{ type: 'none', username: user }, identity]
    return new Promise((resolve, reject) => {
      client.on('ready', () => resolve(new SshClient(client)))
      client.on('error', (cause) => reject(connectionError(cause)))
      client.on('close', () => reject(connectionError(new Error('the connection was closed'))))
      client.connect({
        sock: stream as never,
        username: user,
        readyTimeout: HANDSHAKE_MS,
        keepaliveInterval: KEEPALIVE_MS,
        authHandler: ((_left: unknown, _partial: unknown, next: (one: unknown) => void) =>
          next(methods.shift() ?? false)) as never,
      })
    })
  }

  /** Undefined: a shell. */
  async open(
    command: string | undefined,
    options: { readonly pty?: SshPty; readonly env?: Readonly<Record<string, string>> },
  ): Promise<ClientChannel> {
    const { pty, env = {} } = options
    const window = pty && { term: pty.term, cols: pty.columns, rows: pty.rows, width: 0, height: 0 }
    return await new Promise((resolve, reject) => {
      const done = (error: Error | undefined, channel: ClientChannel) =>
        error ? reject(connectionError(error)) : resolve(channel)
      if (command === undefined) this.#client.shell(window ?? false, { env }, done)
      else this.#client.exec(command, { env, ...(window && { pty: window }) }, done)
    })
  }

  async sftp(): Promise<SFTPWrapper> {
    return await new Promise((resolve, reject) =>
      this.#client.sftp((error, sftp) => (error ? reject(connectionError(error)) : resolve(sftp))),
    )
  }

  [Symbol.dispose](): void {
    this.#client.end()
    this.#client.destroy()
  }
}

/**
 * A key of ssh2 that shows its certificate. The library knows no certificates, and asks a key only for its
 * type, its public form and signatures.
 */
function identityOf(key: Ed25519Key, certificate: string): object {
  const parsed = ssh2.utils.parseKey(key.privatePem())
  if (parsed instanceof Error) throw parsed
  const blob = parseCertificateLine(certificate)
  return Object.create(parsed, {
    type: { value: CERTIFICATE_TYPE },
    getPublicSSH: { value: () => blob },
    sign: { value: (data: Buffer) => key.sign(data) },
  })
}

function connectionError(cause: Error & { level?: string }): SshError {
  if (cause.level === 'client-authentication') {
    return new SshError('ssh.certificate_refused', {
      what: 'the machine does not accept the certificate for this user',
      fix: 'ask for another one; look at the clock of this computer, and at the app',
      cause,
    })
  }
  return new SshError('ssh.connection_failed', {
    what: `the ssh connection failed: ${cause.message}`,
    fix: 'try again; `godwit machine status` shows whether the machine runs',
    cause,
  })
}
