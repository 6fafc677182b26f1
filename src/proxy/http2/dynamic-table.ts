/** What an entry counts beside its octets (RFC 7541, section 4.1). */
export const ENTRY_OVERHEAD = 32
/** Every peer starts with this much; we never say another figure, nor use more. */
export const TABLE_BYTES = 4096
const ENTRIES_MAX = TABLE_BYTES / ENTRY_OVERHEAD
const BYTES_AT_FIRST = 512

/**
 * The fields that one side of a connection has said before (RFC 7541, section 2.3.2). Their octets stand in one
 * piece of memory, the newest last; it grows as it is used.
 */
export class DynamicTable {
  bytes: Buffer = NO_BYTES
  #end = 0
  /** Of the newest `count` insertions, by their number modulo ENTRIES_MAX: name's start, value's start, its end. */
  readonly #offsets = new Uint16Array(ENTRIES_MAX * 3)
  /** How many were inserted, ever. */
  inserted = 0
  count = 0
  size = 0
  capacity: number = TABLE_BYTES

  nameStart(insertion: number): number {
    return this.#offsets[(insertion % ENTRIES_MAX) * 3] as number
  }
  valueStart(insertion: number): number {
    return this.#offsets[(insertion % ENTRIES_MAX) * 3 + 1] as number
  }
  valueEnd(insertion: number): number {
    return this.#offsets[(insertion % ENTRIES_MAX) * 3 + 2] as number
  }

  /** The number of the insertion that has this index: 1 is the newest. 0: there is none. */
  insertionAt(index: number): number {
    return index > this.count ? 0 : this.inserted - index + 1
  }

  /** Whether the entry is still there. */
  has(insertion: number): boolean {
    return insertion > this.inserted - this.count
  }

  resize(capacity: number): void {
    this.capacity = capacity
    this.#evict(0)
  }

  /**
   * Adds a field; what is too large empties the table. The sources may stand in this table itself: they are read
   * before anything moves. HOT.
   * @returns true when it is in the table
   */
  add(
    name: Uint8Array,
    nameStart: number,
    nameEnd: number,
    value: Uint8Array,
    valueStart: number,
    valueEnd: number,
  ): boolean {
    const nameLength = nameEnd - nameStart
    const length = nameLength + valueEnd - valueStart
    const size = length + ENTRY_OVERHEAD
    if (size > this.capacity) {
      this.#evict(this.capacity)
      return false
    }
    let from = name
    let fromStart = nameStart
    if (name === this.bytes) {
      // It may be evicted by this very addition.
      moved.set(name.subarray(nameStart, nameEnd))
      from = moved
      fromStart = 0
    }
    this.#evict(size)
    if (this.#end + length > this.bytes.length) this.#makeRoom(length)
    const { bytes } = this
    const at = this.#end
    copy(from, fromStart, nameLength, bytes, at)
    copy(value, valueStart, valueEnd - valueStart, bytes, at + nameLength)
    this.#end = at + length
    this.inserted += 1
    const slot = (this.inserted % ENTRIES_MAX) * 3
    this.#offsets[slot] = at
    this.#offsets[slot + 1] = at + nameLength
    this.#offsets[slot + 2] = at + length
    this.count += 1
    this.size += size
    return true
  }

  /** Until `size` more fit. */
  #evict(size: number): void {
    while (this.count > 0 && this.size + size > this.capacity) {
      const oldest = this.inserted - this.count + 1
      this.size -= this.valueEnd(oldest) - this.nameStart(oldest) + ENTRY_OVERHEAD
      this.count -= 1
    }
  }

  /** Moves what is alive to the start, of larger memory where it fills more than half. */
  #makeRoom(length: number): void {
    const oldest = this.inserted - this.count + 1
    const start = this.count === 0 ? this.#end : this.nameStart(oldest)
    const alive = this.#end - start
    let size = Math.max(this.bytes.length, BYTES_AT_FIRST)
    while (alive + length > size / 2 && size < 2 * TABLE_BYTES) size *= 2
    const target = size === this.bytes.length ? this.bytes : Buffer.allocUnsafeSlow(size)
    this.bytes.copy(target, 0, start, this.#end)
    for (let insertion = oldest; insertion <= this.inserted; insertion += 1) {
      const slot = (insertion % ENTRIES_MAX) * 3
      for (let part = slot; part < slot + 3; part += 1)
        this.#offsets[part] = (this.#offsets[part] as number) - start
    }
    this.bytes = target
    this.#end = alive
  }
}

const NO_BYTES: Buffer = Buffer.alloc(0)
const moved = Buffer.alloc(TABLE_BYTES)

function copy(
  source: Uint8Array,
  start: number,
  length: number,
  target: Uint8Array,
  at: number,
): void {
  for (let index = 0; index < length; index += 1)
    target[at + index] = source[start + index] as number
}
