import { isIPv4, isIPv6 } from 'node:net'

/** Where a node is reached, as text: `192.0.2.1:8787` or `[2001:db8::1]:8787`. */
export interface SocketAddress {
  readonly host: string
  readonly port: number
  readonly family: 4 | 6
}

/** undefined: neither an IPv4 nor an IPv6 address with a port of 1 to 65,535. */
export function parseSocketAddress(text: string): SocketAddress | undefined {
  const colon = text.lastIndexOf(':')
  const port = /^[1-9][0-9]{0,4}$/.test(text.slice(colon + 1)) ? Number(text.slice(colon + 1)) : 0
  if (port < 1 || port > 65_535) return undefined
  const host = text.slice(0, colon)
  if (isIPv4(host)) return { host, port, family: 4 }
  if (!host.startsWith('[') || !host.endsWith(']')) return undefined
  const bare = host.slice(1, -1)
  return isIPv6(bare) && !bare.includes('%') ? { host: bare, port, family: 6 } : undefined
}

export function formatSocketAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
