/** A longer line becomes several. */
export const LINE_BYTES_MAX = 16_384

/** Cuts a stream of bytes into lines of text. */
export class LineSplitter {
  #rest: Buffer = Buffer.alloc(0)

  /** The lines that `bytes` completes. */
  push(bytes: Buffer): string[] {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    const lines: string[] = []
    let start = 0
    for (let end = all.indexOf(10); end >= 0; end = all.indexOf(10, start)) {
      addLine(lines, all.subarray(start, end))
      start = end + 1
    }
    while (all.length - start >= LINE_BYTES_MAX) {
      lines.push(all.toString('utf8', start, start + LINE_BYTES_MAX))
      start += LINE_BYTES_MAX
    }
    this.#rest = all.subarray(start)
    return lines
  }

  /** What has no end of line. */
  end(): string[] {
    const rest = this.#rest
    this.#rest = Buffer.alloc(0)
    return rest.length === 0 ? [] : [rest.toString()]
  }
}

function addLine(lines: string[], bytes: Buffer): void {
  let start = 0
  for (; bytes.length - start > LINE_BYTES_MAX; start += LINE_BYTES_MAX) {
    lines.push(bytes.toString('utf8', start, start + LINE_BYTES_MAX))
  }
  const end = bytes.at(-1) === 13 ? bytes.length - 1 : bytes.length // \r\n
  lines.push(bytes.toString('utf8', start, end))
}
