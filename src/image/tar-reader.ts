import { ByteReader, cut } from './byte-reader.ts'
import { BLOCK_BYTES, badArchive, decodeTarHeader, type TarHeader } from './tar-header.ts'
import { checkMap, expand, readGnuMap, readPaxMap } from './tar-sparse.ts'

export interface TarEntry extends TarHeader {
  /** By name, values as bytes: `security.capability` is binary. */
  readonly xattrs: ReadonlyMap<string, Buffer>
  /** Where the contents begin in the stream, in bytes; undefined when they are not there in one piece. */
  readonly contentOffset: number | undefined
  /** The contents, once, before the next entry is asked for. What is not read is skipped. */
  readonly content: () => AsyncGenerator<Uint8Array>
}

/** Long names, and all pax records of one entry. */
const EXTENSION_BYTES_MAX = 1 << 20
const XATTR_PREFIX = 'SCHILY.xattr.'
const SPARSE_PREFIX = 'GNU.sparse.'

/**
 * Entries of a tar stream in order: ustar, pax (global and local), GNU long names, and sparse files,
 * which come out whole, as type `0`.
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
      const records = new Map([...global, ...local])
      const { entry, finish } = await openEntry(reader, block, withRecords(header, records))
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
    if (key.startsWith(XATTR_PREFIX)) xattrs.set(key.slice(XATTR_PREFIX.length), value)
    else if (key === 'path') header.name = value.toString('utf8')
    else if (key === 'linkpath') header.linkName = value.toString('utf8')
    else if (key === 'uid' || key === 'gid' || key === 'size') header[key] = wholeNumber(value)
    else if (key === 'mtime') header.mtimeSeconds = paxTime(value)
  }
  const sparseSize = paxSparseSize(records)
  if (sparseSize !== undefined) {
    header.name = records.get(`${SPARSE_PREFIX}name`)?.toString('utf8') ?? header.name
  }
  return { ...header, xattrs, sparseSize }
}

/** The size of the file of a pax 1.0 sparse entry; undefined for what is not sparse. */
function paxSparseSize(records: ReadonlyMap<string, Buffer>): number | undefined {
  if (!records.keys().some((key) => key.startsWith(SPARSE_PREFIX))) return undefined
  const [major, minor, size] = ['major', 'minor', 'realsize'].map((key) =>
    records.get(`${SPARSE_PREFIX}${key}`),
  )
  if (major?.toString() === '1' && minor?.toString() === '0' && size) return wholeNumber(size)
  throw badArchive('a sparse entry of an unknown version')
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

async function openEntry(
  reader: ByteReader,
  block: Buffer,
  { sparseSize, ...header }: ReturnType<typeof withRecords>,
) {
  const begin = reader.position
  if (sparseSize !== undefined && header.type !== '0') throw badArchive('no file, yet sparse')
  const map =
    header.type === 'S'
      ? await readGnuMap(block, reader)
      : sparseSize === undefined
        ? undefined
        : await readPaxMap(reader, sparseSize)
  // Links and devices have no contents, whatever their size field says.
  const hasContent = !'123456'.includes(header.type)
  // The size of a pax entry counts the map, that of GNU's does not.
  const mapBytes = header.type === 'S' ? 0 : reader.position - begin
  let left = hasContent ? header.size - mapBytes : 0
  const pad = hasContent ? padding(header.size) : 0
  const take = async (bytesMax: number) => {
    const piece = await reader.some(Math.min(bytesMax, left))
    if (piece.length === 0) throw cut()
    left -= piece.length
    return piece
  }
  async function* whole() {
    while (left > 0) yield await take(left)
  }
  const finish = async () => reader.skip(left + pad)
  if (map === undefined) {
    return { entry: { ...header, contentOffset: begin, content: whole }, finish }
  }
  checkMap(map, left)
  const content = () => expand(map, take)
  const sparse = { type: '0', size: map.fileSize, contentOffset: undefined, content }
  return { entry: { ...header, ...sparse }, finish }
}
