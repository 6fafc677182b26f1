import { ByteReader, cut } from './byte-reader.ts'
import { BLOCK_BYTES, badArchive, decodeTarHeader, type TarHeader } from './tar-header.ts'

export interface TarEntry extends TarHeader {
  /** By name, values as bytes: `security.capability` is binary. */
  readonly xattrs: ReadonlyMap<string, Buffer>
  /** Where the contents begin in the stream, in bytes. */
  readonly contentOffset: number
  /** The contents, once, before the next entry is asked for. What is not read is skipped. */
  readonly content: () => AsyncGenerator<Uint8Array>
}

/** Long names, and all pax records of one entry. */
const EXTENSION_BYTES_MAX = 1 << 20
const XATTR_PREFIX = 'SCHILY.xattr.'

/**
 * Entries of a tar stream in order: ustar, pax (global and local) and GNU long names.
 * @throws ImageError image.archive_bad
 */
export async function* readTar(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<TarEntry> {
  const reader = new ByteReader(pieces)
  const global = new Map<string, Buffer>()
  let local = new Map<string, Buffer>()
  try {
    for (;;) {
      const block = await reader.take(BLOCK_BYTES)
      if (block === undefined) return
      if (block.length < BLOCK_BYTES) throw cut()
      const header = decodeTarHeader(block)
      if (header === undefined) return
      if (header.size < 0) throw badArchive('an entry has a negative size')
      if ('xgLK'.includes(header.type)) {
        readExtension(header.type, await extension(reader, header.size), global, local)
        continue
      }
      const { entry, finish } = openEntry(
        reader,
        withRecords(header, new Map([...global, ...local])),
      )
      local = new Map()
      yield entry
      await finish()
    }
  } finally {
    await reader.close()
  }
}

async function extension(reader: ByteReader, size: number): Promise<Buffer> {
  if (size > EXTENSION_BYTES_MAX) throw badArchive('an extended header is too large')
  if (size === 0) return Buffer.alloc(0)
  const bytes = await reader.take(size)
  if (bytes === undefined) throw cut()
  await reader.skip(padding(size))
  return bytes
}

function readExtension(
  type: string,
  bytes: Buffer,
  global: Map<string, Buffer>,
  local: Map<string, Buffer>,
) {
  if (type === 'x') readPax(bytes, local)
  else if (type === 'g') readPax(bytes, global)
  else local.set(type === 'L' ? 'path' : 'linkpath', untilZero(bytes))
}

const untilZero = (bytes: Buffer) => {
  const end = bytes.indexOf(0)
  return end < 0 ? bytes : bytes.subarray(0, end)
}

/** Records `LENGTH KEY=VALUE\n`; LENGTH counts the whole record, itself too. */
function readPax(bytes: Buffer, records: Map<string, Buffer>): void {
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at)
    const digits = space < 0 ? '' : bytes.toString('latin1', at, space)
    const end = at + Number(digits)
    const equals = bytes.indexOf(0x3d, space)
    const isWhole = /^\d{1,7}$/.test(digits) && end <= bytes.length && bytes[end - 1] === 0x0a
    if (!isWhole || equals < 0 || equals >= end) throw badArchive('a pax record is malformed')
    records.set(
      bytes.toString('utf8', space + 1, equals),
      Buffer.from(bytes.subarray(equals + 1, end - 1)),
    )
    at = end
  }
}

function withRecords(header: TarHeader, records: ReadonlyMap<string, Buffer>) {
  const xattrs = new Map<string, Buffer>()
  for (const [key, value] of records) {
    if (key.startsWith('GNU.sparse.')) throw badArchive('sparse entries are not supported')
    if (key.startsWith(XATTR_PREFIX)) xattrs.set(key.slice(XATTR_PREFIX.length), value)
    else if (key === 'path') header.name = value.toString('utf8')
    else if (key === 'linkpath') header.linkName = value.toString('utf8')
    else if (key === 'uid' || key === 'gid' || key === 'size') header[key] = wholeNumber(value)
    else if (key === 'mtime') header.mtimeSeconds = paxTime(value)
  }
  return { ...header, xattrs }
}

function wholeNumber(value: Buffer): number {
  const number = /^\d{1,16}$/.test(value.toString('latin1'))
    ? Number(value.toString('latin1'))
    : NaN
  if (!Number.isSafeInteger(number)) throw badArchive('a pax record is not a whole number')
  return number
}

function paxTime(value: Buffer): number {
  const text = value.toString('latin1')
  if (!/^-?\d{1,12}(\.\d*)?$/.test(text)) throw badArchive('a pax time is malformed')
  return Number(text)
}

const padding = (size: number) => (BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES

function openEntry(reader: ByteReader, header: ReturnType<typeof withRecords>) {
  // Links and devices have no contents, whatever their size field says.
  const hasContent = !'123456'.includes(header.type)
  let left = hasContent ? header.size : 0
  const pad = padding(left)
  async function* content() {
    while (left > 0) {
      const piece = await reader.some(left)
      if (piece.length === 0) throw cut()
      left -= piece.length
      yield piece
    }
  }
  const finish = async () => reader.skip(left + pad)
  const contentOffset = reader.position
  return { entry: { ...header, contentOffset, content } satisfies TarEntry, finish }
}
