/**
 * Whether a 6PN address belongs to a network: bits 16 to 47 of an address in fdaa::/16 (docs/private-network.md).
 * @param address as the kernel prints it: lower case, compressed
 */
export function isInNetwork(address: string, networkId: number): boolean {
  const groups = expand(address)
  if (groups === undefined || groups[0] !== 0xfdaa) return false
  return (groups[1] ?? 0) * 65_536 + (groups[2] ?? 0) === networkId
}

/** The eight groups of an IPv6 address; undefined for anything else. */
function expand(address: string): readonly number[] | undefined {
  const [head = '', tail] = address.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const missing = 8 - left.length - right.length
  if (missing < 0 || (tail === undefined && missing !== 0)) return undefined
  const groups = [...left, ...Array.from({ length: missing }, () => '0'), ...right]
  const numbers = groups.map((group) => Number.parseInt(group, 16))
  return numbers.every((group) => Number.isInteger(group) && group <= 0xffff) ? numbers : undefined
}
