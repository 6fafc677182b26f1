import { GodwitError } from '#base'

export type ProxyErrorCode = keyof typeof ProxyError.catalogue

/** What the proxy throws. Bytes from clients and machines never do: they end a connection. */
export class ProxyError extends GodwitError<ProxyErrorCode> {
  static override readonly catalogue = {
    /** A system call failed that must not. */
    'proxy.system': { status: 500 },
    /** The address is taken, or is not this machine's. */
    'proxy.listen_failed': { status: 500 },
    /** Text that is no IPv4 or IPv6 address. */
    'proxy.address_bad': { status: 400 },
    /** Certificate or key cannot be used. */
    'proxy.certificate_bad': { status: 422 },
    /** The static routing file names what is not there. */
    'proxy.config_bad': { status: 422 },
    /** No proxy answers on the admin socket. */
    'proxy.admin_away': { status: 503, transient: true },
    /** The running proxy did not hand over its sockets. */
    'proxy.takeover_failed': { status: 503, transient: true },
  } as const
}
