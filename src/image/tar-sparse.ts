/**
 * Sparse files in a tar: GNU's own type `S`, and pax version 1.0. Older pax versions (0.0, 0.1), which
 * GNU tar only writes when told to, are refused. Source: GNU tar manual, "Storing Sparse Files".
 */
import { type ByteReader, cut } from './byte-reader.ts'
import { BLOCK_BYTES, badArchive, readNumber } from './tar-header.ts'

/** Where the stored bytes lie in the file, in order. All else is holes. */
export interface SparseMap {
  readonly parts: readonly { readonly offset: number; readonly size: number }[]
  readonly fileSize: number
}

const PARTS_MAX = 1 << 18
const ZEROS = Buffer.alloc(1 << 20)

/** The map in a header of type `S` (at 386, 4 parts) and in blocks after it (21 parts each). */
export async function readGnuMap(header: Buffer, reader: ByteReader): Promise<SparseMap> {
  const parts = partsIn(header, 386, 4)
  for (let hasMore = header[482] !== 0; hasMore; ) {
    const block = await reader.take(BLOCK_BYTES)
    if (block === undefined) throw cut()
    parts.push(...partsIn(block, 0, 21))
    if (parts.length > PARTS_MAX) throw badArchive('a sparse file has too many parts')
    hasMore = block[504] !== 0
  }
  return { parts, fileSize: readNumber(header, 483, 12) }
}

function partsIn(block: Buffer, start: number, countMax: number) {
  const parts: { offset: number; size: number }[] = []
  for (let at = start; at < start + 24 * countMax && block[at] !== 0; at += 24) {
    parts.push({ offset: readNumber(block, at, 12), size: readNumber(block, at + 12, 12) })
  }
  return parts
}

/**
 * The map before the contents of a pax 1.0 entry: decimal lines, the count of parts, then offset and
 * size of each; filled up to a whole block.
 */
export async function readPaxMap(reader: ByteReader, fileSize: number): Promise<SparseMap> {
  const numbers: number[] = []
  let rest = ''
  while (numbers[0] === undefined || numbers.length < 1 + 2 * numbers[0]) {
    const block = await reader.take(BLOCK_BYTES)
    if (block === undefined) throw cut()
    const lines = (rest + block.toString('latin1')).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      if (numbers[0] !== undefined && numbers.length === 1 + 2 * numbers[0]) break
      numbers.push(decimal(line))
    }
    if (rest.length > BLOCK_BYTES || (numbers[0] ?? 0) > PARTS_MAX) {
      throw badArchive('a map of a sparse file is too large')
    }
  }
  const parts = Array.from({ length: numbers[0] }, (_, index) => ({
    offset: numbers[1 + 2 * index] ?? 0,
    size: numbers[2 + 2 * index] ?? 0,
  }))
  return { parts, fileSize }
}

function decimal(line: string): number {
  if (!/^\d{1,15}$/.test(line)) throw badArchive('a map of a sparse file is malformed')
  return Number(line)
}

/** Parts in order, apart, within the file, and as many bytes as are stored. @throws ImageError */
export function checkMap({ parts, fileSize }: SparseMap, storedBytes: number): void {
  let end = 0
  let stored = 0
  for (const { offset, size } of parts) {
    if (offset < end || size < 0) throw badArchive('parts of a sparse file overlap')
    end = offset + size
    stored += size
  }
  if (end <= fileSize && stored === storedBytes) return
  throw badArchive('a sparse file does not fit its map')
}

/** The whole file, holes as zeros. @param take gives 1 to `bytesMax` stored bytes. */
export async function* expand(
  { parts, fileSize }: SparseMap,
  take: (bytesMax: number) => Promise<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let at = 0
  for (const { offset, size } of parts) {
    yield* zeros(offset - at)
    for (at = offset; at < offset + size; ) {
      const piece = await take(offset + size - at)
      at += piece.length
      yield piece
    }
  }
  yield* zeros(fileSize - at)
}

function* zeros(count: number): Generator<Uint8Array> {
  for (let left = count; left > 0; left -= ZEROS.length) yield ZEROS.subarray(0, left)
}
