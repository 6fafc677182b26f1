import {
  closeSync,
  fstatSync,
  lstatSync,
  openSync,
  readSync,
  realpathSync,
  type Stats,
} from 'node:fs'
import { join } from 'node:path'
import { type Duplex, duplexPair } from 'node:stream'

const text = (value: string | Buffer) => {
  const bytes = Buffer.from(value)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}
const u32 = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** A machine's file server, as its init is one: a folder is its root. */
export class SftpMachine {
  readonly #root: string
  readonly #handles = new Map<string, number>()
  /** Requests by type: 5 is a read, 7 a look at a file. */
  readonly counts = new Map<number, number>()
  readonly sessions: Duplex[] = []

  constructor(root: string) {
    this.#root = realpathSync(root)
  }

  open(): Duplex {
    const [ours, theirs] = duplexPair()
    this.sessions.push(ours)
    let rest: Buffer = Buffer.alloc(0)
    ours.on('error', () => undefined)
    ours.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk])
      while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32BE(0)) {
        const end = 4 + rest.readUInt32BE(0)
        ours.write(text(this.#answer(rest.subarray(4, end))))
        rest = rest.subarray(end)
      }
    })
    return theirs
  }

  #answer(packet: Buffer): Buffer {
    const type = packet[0] as number
    this.counts.set(type, (this.counts.get(type) ?? 0) + 1)
    if (type === 1) return Buffer.concat([Buffer.of(2), u32(3)])
    const id = packet.subarray(1, 5)
    const first = packet.subarray(9, 9 + packet.readUInt32BE(5)).toString()
    const rest = packet.subarray(9 + packet.readUInt32BE(5))
    const say = (kind: number, ...fields: Buffer[]) =>
      Buffer.concat([Buffer.of(kind), id, ...fields])
    const status = (code: number) => say(101, u32(code), text(''), text(''))
    try {
      if (type === 16) {
        const real = realpathSync(join(this.#root, first)).slice(this.#root.length) || '/'
        return say(104, u32(1), text(real), text(real), u32(0))
      }
      if (type === 7) return say(105, attributes(lstatSync(join(this.#root, first))))
      if (type === 3) {
        const fd = openSync(join(this.#root, first), 'r')
        this.#handles.set(String(fd), fd)
        return say(102, text(String(fd)))
      }
      const fd = this.#handles.get(first) ?? -1
      fstatSync(fd)
      if (type === 4) {
        closeSync(fd)
        this.#handles.delete(first)
        return status(0)
      }
      const bytes = Buffer.alloc(rest.readUInt32BE(8))
      const count = readSync(fd, bytes, 0, bytes.length, Number(rest.readBigUInt64BE(0)))
      return count === 0 ? status(1) : say(103, text(bytes.subarray(0, count)))
    } catch {
      return status(2)
    }
  }
}

function attributes({ size, uid, gid, mode, mtimeMs }: Stats): Buffer {
  const bytes = Buffer.alloc(32)
  bytes.writeUInt32BE(15, 0)
  bytes.writeBigUInt64BE(BigInt(size), 4)
  for (const [index, value] of [uid, gid, mode, 0, Math.floor(mtimeMs / 1000)].entries())
    bytes.writeUInt32BE(value, 12 + index * 4)
  return bytes
}
