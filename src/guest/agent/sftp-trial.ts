/** For tests: the client's side of SFTP, version 3, one request at a time. */
import assert from 'node:assert/strict'
import type { Readable, Writable } from 'node:stream'

const STATUS = 101
const FOLDER = 11
const READDIR = 12

const u32 = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

export const sftpText = (value: string | Buffer) =>
  Buffer.concat([u32(Buffer.byteLength(value)), Buffer.from(value)])

export class SftpTrial {
  readonly #stdin: Writable
  readonly #answers: AsyncIterator<Buffer>
  #rest = Buffer.alloc(0)
  #id = 0

  constructor(stdin: Writable, stdout: Readable) {
    this.#stdin = stdin
    this.#answers = (stdout as AsyncIterable<Buffer>)[Symbol.asyncIterator]()
  }

  async begin(): Promise<void> {
    this.#send(1, u32(3))
    const answer = await this.#packet()
    assert.deepEqual([answer[0], answer.readUInt32BE(1)], [2, 3])
  }

  /** @param flags 1 read, 2 write, 8 make it */
  async open(path: string, flags: number): Promise<Buffer> {
    return textAt(await this.#ask(3, sftpText(path), u32(flags), u32(0)), 5)
  }

  async write(handle: Buffer, bytes: Buffer, offset: number): Promise<void> {
    await this.#ask(6, sftpText(handle), u32(0), u32(offset), sftpText(bytes))
  }

  async read(handle: Buffer, offset: number, count: number): Promise<Buffer> {
    return textAt(await this.#ask(5, sftpText(handle), u32(0), u32(offset), u32(count)), 5)
  }

  async status(type: number, ...fields: Buffer[]): Promise<void> {
    await this.#ask(type, ...fields)
  }

  /** Names, sorted. Of one answer: of a folder of at most 100. */
  async list(path: string): Promise<string[]> {
    const handle = textAt(await this.#ask(FOLDER, sftpText(path)), 5)
    const answer = await this.#ask(READDIR, sftpText(handle))
    await assert.rejects(this.#ask(READDIR, sftpText(handle)), /status 1/)
    const names: string[] = []
    let at = 9
    for (let left = answer.readUInt32BE(5); left > 0; left -= 1) {
      const name = textAt(answer, at)
      const line = textAt(answer, at + 4 + name.length)
      names.push(String(name))
      at += 8 + name.length + line.length + 32 // attributes: flags, size, owner, mode, times
    }
    return names.sort()
  }

  /** The answer, which is for this request. @throws for a status that is not 0 */
  async #ask(type: number, ...fields: Buffer[]): Promise<Buffer> {
    this.#id += 1
    this.#send(type, u32(this.#id), ...fields)
    const answer = await this.#packet()
    assert.equal(answer.readUInt32BE(1), this.#id)
    const status = answer[0] === STATUS ? answer.readUInt32BE(5) : 0
    if (status !== 0) throw new Error(`status ${status}: ${textAt(answer, 9)}`)
    return answer
  }

  #send(type: number, ...fields: Buffer[]): void {
    this.#stdin.write(sftpText(Buffer.concat([Buffer.from([type]), ...fields])))
  }

  async #packet(): Promise<Buffer> {
    for (;;) {
      const whole = this.#rest.length >= 4 ? 4 + this.#rest.readUInt32BE(0) : Infinity
      if (this.#rest.length >= whole) {
        const packet = this.#rest.subarray(4, whole)
        this.#rest = this.#rest.subarray(whole)
        return packet
      }
      const { done, value } = await this.#answers.next()
      assert.ok(!done, 'the server ended')
      this.#rest = Buffer.concat([this.#rest, value as Buffer])
    }
  }
}

function textAt(bytes: Buffer, at: number): Buffer {
  const end = at + 4 + bytes.readUInt32BE(at)
  return bytes.subarray(at + 4, end)
}
