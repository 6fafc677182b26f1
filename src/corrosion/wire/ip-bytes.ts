/** The 4 bytes of an IPv4 address that `net.isIPv4` accepts. */
export function ipv4Bytes(host: string): number[] {
  return host.split('.').map(Number)
}

export function ipv4Text(bytes: Uint8Array): string {
  return bytes.join('.')
}

/** The 8 groups of an IPv6 address that `net.isIPv6` accepts, without a zone. */
export function ipv6Groups(host: string): number[] {
  const [head = '', tail] = plainGroups(host).split('::')
  const front = groupsOf(head)
  if (tail === undefined) return front
  const back = groupsOf(tail)
  return [...front, ...new Array<number>(8 - front.length - back.length).fill(0), ...back]
}

/** Shortest form, as RFC 5952 asks: the first longest run of two zero groups or more is `::`. */
export function ipv6Text(groups: readonly number[]): string {
  const run = longestZeroRun(groups)
  const hex = groups.map((group) => group.toString(16))
  if (run.length < 2) return hex.join(':')
  return `${hex.slice(0, run.start).join(':')}::${hex.slice(run.start + run.length).join(':')}`
}

function groupsOf(text: string): number[] {
  return text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16))
}

/** An IPv4 address at the end becomes two groups. */
function plainGroups(host: string): string {
  if (!host.includes('.')) return host
  const at = host.lastIndexOf(':') + 1
  const [a = 0, b = 0, c = 0, d = 0] = ipv4Bytes(host.slice(at))
  return `${host.slice(0, at)}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 }
  for (let start = 0; start < groups.length; start += 1) {
    let length = 0
    while (groups[start + length] === 0) length += 1
    if (length > best.length) best = { start, length }
  }
  return best
}
