import { GodwitError } from '#base'

export type SshErrorCode = keyof typeof SshError.catalogue

/** What is wrong with keys and certificates. */
export class SshError extends GodwitError<SshErrorCode> {
  static override readonly catalogue = {
    /** Not a key or certificate in OpenSSH's form, or of a kind other than Ed25519. */
    'ssh.key_bad': { status: 422 },
    /** The certificate does not open this machine: another issuer, user, app, or time. */
    'ssh.certificate_refused': { status: 403 },
    /** The connection ended, or the other side does not take what we are. */
    'ssh.connection_failed': { status: 503, transient: true },
    /** Copying files: what the machine says of a path. */
    'ssh.file_failed': { status: 422 },
  } as const
}

export const keyBad = (what: string, fix = 'make one with: ssh-keygen -t ed25519') =>
  new SshError('ssh.key_bad', { what, fix })
