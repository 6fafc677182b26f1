/** Reads a file of the machine; undefined: it is not there (any more). */
export type ReadFile = (path: string) => Promise<Buffer | undefined>

export interface ListenSocket {
  readonly proto: 'tcp' | 'udp'
  /** As `0.0.0.0:8080`, `[::]:8080`. */
  readonly address: string
}

/** Where each kind is listed, and the state in which it takes what comes. Source: proc_pid_net(5), tcp_states.h. */
const TABLES = [
  { file: 'tcp', proto: 'tcp', state: '0A' },
  { file: 'tcp6', proto: 'tcp', state: '0A' },
  { file: 'udp', proto: 'udp', state: '07' },
  { file: 'udp6', proto: 'udp', state: '07' },
] as const

/** Descriptors of one process that are looked at, and of all together. */
const DESCRIPTORS_MAX = 256
const LOOKS_MAX = 4_096
const AT_ONCE = 16

/**
 * Which process listens on what. The kernel lists a machine's sockets by inode; whose descriptor has which
 * inode is in `fdinfo` (since Linux 5.14), one file a descriptor, whose numbers are tried from 0 on, as the
 * kernel gives them. Sockets that are not found within the bounds are of no process.
 */
export async function listenSockets(
  pids: readonly number[],
  read: ReadFile,
): Promise<ReadonlyMap<number, readonly ListenSocket[]>> {
  const waiting = new Map<string, ListenSocket>()
  for (const { file, proto, state } of TABLES) {
    const text = (await read(`/proc/1/net/${file}`))?.toString() ?? ''
    for (const [inode, address] of socketsIn(text, state)) waiting.set(inode, { proto, address })
  }
  const found = new Map<number, ListenSocket[]>()
  let looks = 0
  for (let from = 0; from < DESCRIPTORS_MAX && waiting.size > 0; from += AT_ONCE) {
    for (const pid of pids) {
      if (waiting.size === 0 || looks >= LOOKS_MAX) return found
      looks += AT_ONCE
      for (const inode of await inodesOf(pid, from, read)) {
        const socket = waiting.get(inode)
        if (socket === undefined) continue
        waiting.delete(inode)
        found.set(pid, [...(found.get(pid) ?? []), socket])
      }
    }
  }
  return found
}

async function inodesOf(pid: number, from: number, read: ReadFile): Promise<string[]> {
  const descriptors = Array.from({ length: AT_ONCE }, (_, index) => from + index)
  const texts = await Promise.all(descriptors.map((one) => read(`/proc/${pid}/fdinfo/${one}`)))
  return texts.flatMap((text) => /^ino:\s*(\d+)$/m.exec(text?.toString() ?? '')?.[1] ?? [])
}

/** Inode and address of each socket in this state. */
function* socketsIn(text: string, state: string): Generator<[inode: string, address: string]> {
  for (const line of text.split('\n').slice(1)) {
    const fields = line.trim().split(/\s+/)
    const [local, , is, inode] = [fields[1], fields[2], fields[3], fields[9]]
    if (local === undefined || is !== state || inode === undefined) continue
    const address = addressOf(local)
    if (address !== undefined) yield [inode, address]
  }
}

/** Of `0100007F:1F90`: words of 32 bits, each as this machine's memory has it, which is little-endian. */
export function addressOf(local: string): string | undefined {
  const [hex = '', portHex = ''] = local.split(':')
  const port = Number.parseInt(portHex, 16)
  if (!/^(?:[0-9A-F]{8}|[0-9A-F]{32})$/.test(hex) || Number.isNaN(port)) return undefined
  const bytes = Buffer.from(hex, 'hex').swap32()
  if (bytes.length === 4) return `${bytes.join('.')}:${port}`
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(2 * index).toString(16))
  return `${new URL(`http://[${groups.join(':')}]`).hostname}:${port}`
}
