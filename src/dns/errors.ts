import { GodwitError } from '#base'

export type DnsErrorCode = keyof typeof DnsError.catalogue

/** What dns throws on purpose. Packets from outside never cause one: they get an answer or nothing. */
export class DnsError extends GodwitError<DnsErrorCode> {
  static override readonly catalogue = {
    /** An address of the configuration could not be bound. */
    'dns.listen_failed': { status: 500 },
    /** The system gave an error where it was asked for datagrams. The socket is watched on. */
    'dns.receive_failed': { status: 500, transient: true },
    /** Node's loop does not take a socket. */
    'dns.watch_failed': { status: 500 },
    /** Text that is no IPv6 address. */
    'dns.address_bad': { status: 400 },
    /** Text that is no domain name (RFC 1035, section 2.3.4). */
    'dns.name_bad': { status: 400 },
    /** Text that is no `ip:port`. */
    'dns.endpoint_bad': { status: 400 },
    /** A question of the command line that cannot be explained. */
    'dns.query_bad': { status: 400 },
    /** Nothing answers on the admin socket. */
    'dns.admin_away': { status: 503, transient: true },
    /** No upstream answered in time. */
    'dns.upstream_failed': { status: 504, transient: true },
    /** As many upstream questions are under way as the resolver keeps. */
    'dns.upstream_busy': { status: 503, transient: true },
  } as const
}
