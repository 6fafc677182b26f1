const CAPACITY_MIN = 64

/** The contents of one file: bytes that grow where they are written, zeros in the holes. */
export class FileBytes {
  #bytes = new Uint8Array(CAPACITY_MIN)
  #size = 0

  get size(): number {
    return this.#size
  }

  write(offset: number, bytes: Uint8Array): void {
    const end = offset + bytes.length
    this.#reserve(end)
    this.#bytes.set(bytes, offset)
    if (end > this.#size) this.#size = end
  }

  /** Shorter, or longer by zeros. */
  truncate(sizeBytes: number): void {
    this.#reserve(sizeBytes)
    if (sizeBytes < this.#size) this.#bytes.fill(0, sizeBytes, this.#size)
    this.#size = sizeBytes
  }

  replace(other: FileBytes): void {
    this.#bytes = new Uint8Array(Math.max(CAPACITY_MIN, other.#size))
    this.#bytes.set(other.#bytes.subarray(0, other.#size))
    this.#size = other.#size
  }

  copy(): Uint8Array {
    return this.#bytes.slice(0, this.#size)
  }

  #reserve(sizeBytes: number): void {
    if (sizeBytes <= this.#bytes.length) return
    const larger = new Uint8Array(Math.max(sizeBytes, this.#bytes.length * 2))
    larger.set(this.#bytes.subarray(0, this.#size))
    this.#bytes = larger
  }
}
