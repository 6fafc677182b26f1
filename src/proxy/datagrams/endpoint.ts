/** One end of a datagram: an IPv4 address as a number of 32 bits, and a port. Public UDP is IPv4 alone. */
export interface Endpoint {
  readonly ip: number
  readonly port: number
}

/** @param address four decimal numbers, as everywhere in the platform's rows */
export function ipOf(address: string): number {
  let ip = 0
  for (const part of address.split('.')) ip = ip * 256 + Number(part)
  return ip
}

export const ipText = (ip: number): string =>
  `${ip >>> 24}.${(ip >>> 16) & 255}.${(ip >>> 8) & 255}.${ip & 255}`

/** The same for equal ends alone. */
export const numberOf = ({ ip, port }: Endpoint): number => ip * 65_536 + port

export const endpointOf = (number: number): Endpoint => ({
  ip: Math.floor(number / 65_536),
  port: number % 65_536,
})
