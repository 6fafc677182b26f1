import type { Duplex } from 'node:stream'
import type { FileFacts } from './file-answer.ts'

/** Numbers of draft-ietf-secsh-filexfer-02 (version 3), as native/init/sftp.c has them. */
const Request = { init: 1, open: 3, close: 4, read: 5, lstat: 7, realpath: 16 } as const
const Answer = { handle: 102, data: 103, name: 104, attributes: 105 } as const
const VERSION = 3
const FOR_READING = 1
const HAS_SIZE = 1
const HAS_OWNER = 2
const HAS_MODE = 4
const HAS_TIMES = 8
const FILE_KIND = 0o170_000
const REGULAR = 0o100_000
/** The server's own bound is 256 KiB of data. */
const PACKET_BYTES_MAX = 300 * 1024
/** More than READERS_MAX of statics-server.ts have under way. */
const REQUESTS_MAX = 1_024

/** Why a session is of no use any more. */
export class SftpBroken extends Error {}

/** The files of one machine, for reading, over a session of SFTP. What it says is a hostile guest's: all is bounded. */
export class SftpFiles {
  readonly #stream: Duplex
  #rest: Buffer = Buffer.alloc(0)
  #nextId = 1
  readonly #waiting = new Map<number, PromiseWithResolvers<Buffer>>()
  readonly #begun = Promise.withResolvers<Buffer>()
  #broken: SftpBroken | undefined

  constructor(stream: Duplex) {
    this.#stream = stream
    this.#begun.promise.catch(() => undefined)
    stream.on('data', (chunk: Buffer) => this.#came(chunk))
    for (const end of ['error', 'end', 'close']) {
      stream.on(end, () => this.#break('the session ended'))
    }
    const version = Buffer.alloc(4)
    version.writeUInt32BE(VERSION)
    this.#write(Request.init, version)
  }

  get isBroken(): boolean {
    return this.#broken !== undefined
  }

  /** Requests under way. */
  get pending(): number {
    return this.#waiting.size
  }

  /**
   * A regular file below `root`, reached by no link.
   * @returns undefined: there is none. @throws SftpBroken, or the machine's refusal
   */
  async find(root: string, path: string): Promise<FileFacts | undefined> {
    await this.#begun.promise
    const [realRoot, realPath] = await Promise.all([
      this.#realPath(root || '/'),
      this.#realPath(path),
    ])
    if (realRoot === undefined || realPath === undefined) return undefined
    const rest = path.slice(root.length)
    // A link anywhere below the root would lead elsewhere.
    if (realPath !== (realRoot === '/' ? rest : realRoot + rest)) return undefined
    const answer = await this.#ask(Request.lstat, text(realPath))
    if (answer[0] !== Answer.attributes) return undefined
    const attributes = attributesAt(answer, 5)
    if (attributes === undefined || (attributes.mode & FILE_KIND) !== REGULAR) return undefined
    return { path: realPath, bytes: attributes.bytes, modifiedS: attributes.modifiedS }
  }

  /** @returns undefined: it is gone. @throws SftpBroken */
  async open(path: string): Promise<Buffer | undefined> {
    const answer = await this.#ask(Request.open, text(path), u32(FOR_READING), u32(0))
    return answer[0] === Answer.handle ? textAt(answer, 5) : undefined
  }

  /** Up to `count` bytes. @returns undefined at the file's end. @throws SftpBroken */
  async read(handle: Buffer, offset: number, count: number): Promise<Buffer | undefined> {
    const at = Buffer.alloc(8)
    at.writeBigUInt64BE(BigInt(offset))
    const answer = await this.#ask(Request.read, text(handle), at, u32(count))
    const data = answer[0] === Answer.data ? textAt(answer, 5) : undefined
    if (data !== undefined && data.length > count) throw this.#break('more data than was asked for')
    return data
  }

  async close(handle: Buffer): Promise<void> {
    await this.#ask(Request.close, text(handle))
  }

  end(): void {
    this.#break('it was closed')
  }

  async #realPath(path: string): Promise<string | undefined> {
    const answer = await this.#ask(Request.realpath, text(path))
    if (answer[0] !== Answer.name || answer.length < 9) return undefined
    return textAt(answer, 9)?.toString()
  }

  #ask(type: number, ...fields: readonly Buffer[]): Promise<Buffer> {
    if (this.#broken !== undefined) return Promise.reject(this.#broken)
    if (this.#waiting.size >= REQUESTS_MAX)
      return Promise.reject(new SftpBroken('too many requests'))
    const id = this.#nextId
    this.#nextId = id >= 0xffff_ffff ? 1 : id + 1
    const answer = Promise.withResolvers<Buffer>()
    this.#waiting.set(id, answer)
    this.#write(type, u32(id), ...fields)
    return answer.promise
  }

  #write(type: number, ...fields: readonly Buffer[]): void {
    this.#stream.write(text(Buffer.concat([Buffer.of(type), ...fields])))
  }

  #came(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    while (this.#broken === undefined && this.#rest.length >= 4) {
      const length = this.#rest.readUInt32BE(0)
      if (length < 5 || length > PACKET_BYTES_MAX) {
        this.#break('a packet that cannot be')
        return
      }
      if (this.#rest.length < 4 + length) return
      const packet = this.#rest.subarray(4, 4 + length)
      this.#rest = this.#rest.subarray(4 + length)
      this.#packet(packet)
    }
  }

  #packet(packet: Buffer): void {
    if (packet[0] === 2) {
      this.#begun.resolve(packet)
      return
    }
    const id = packet.readUInt32BE(1)
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (waiting === undefined) this.#break('an answer that nobody asked for')
    else waiting.resolve(packet)
  }

  #break(why: string): SftpBroken {
    if (this.#broken !== undefined) return this.#broken
    const broken = new SftpBroken(why)
    this.#broken = broken
    this.#rest = Buffer.alloc(0)
    this.#begun.reject(broken)
    for (const { reject } of this.#waiting.values()) reject(broken)
    this.#waiting.clear()
    this.#stream.destroy()
    return broken
  }
}

function u32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32BE(value)
  return bytes
}

const text = (value: string | Buffer): Buffer =>
  Buffer.concat([u32(Buffer.byteLength(value)), Buffer.from(value)])

function textAt(bytes: Buffer, at: number): Buffer | undefined {
  if (bytes.length < at + 4) return undefined
  const end = at + 4 + bytes.readUInt32BE(at)
  return end > bytes.length ? undefined : bytes.subarray(at + 4, end)
}

/** Size, mode and time of change, where all are said. */
function attributesAt(
  bytes: Buffer,
  start: number,
): { bytes: number; mode: number; modifiedS: number } | undefined {
  const flags = bytes.length >= start + 4 ? bytes.readUInt32BE(start) : 0
  const wanted = HAS_SIZE | HAS_MODE | HAS_TIMES
  const ownerBytes = (flags & HAS_OWNER) === 0 ? 0 : 8
  const modeAt = start + 12 + ownerBytes
  if ((flags & wanted) !== wanted || bytes.length < modeAt + 12) return undefined
  const size = bytes.readBigUInt64BE(start + 4)
  if (size > BigInt(Number.MAX_SAFE_INTEGER)) return undefined
  const mode = bytes.readUInt32BE(modeAt)
  return { bytes: Number(size), mode, modifiedS: bytes.readUInt32BE(modeAt + 8) }
}
