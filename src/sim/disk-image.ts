/**
 * What a disk holds, and what a power cut leaves of it.
 *
 * The model, after Pillai et al., "All File Systems Are Not Created Equal" (OSDI 2014, the ALICE
 * paper), fsync(2), and Rebello et al., "Can Applications Recover from fsync Failures?" (ATC 2020):
 *
 * - Reads see every write at once (page cache). Durable is only what was synced.
 * - `fsync(file)` makes the file's contents durable, not its name: a new, renamed or unlinked name
 *   is durable after `fsyncDirectory` of its directory. Until then either name may come back.
 * - At a power cut each write that was not synced is kept, lost, or torn at 512-byte sectors,
 *   apart from all others: in a file later writes may survive earlier ones (a hole reads as
 *   zeros), and files are not ordered among each other.
 * - Names change atomically. In one directory they survive as a prefix of what was done, as
 *   journaling file systems keep them; directories are not ordered among each other. A rename
 *   between two directories is in both or in neither.
 * - A failed fsync drops what it should have written: the next one succeeds without it, while
 *   reads still show it (Linux marks the pages clean).
 *
 * Each cut draws how cruel it is: all lost, all kept, a prefix, or any subset, so that rare and
 * common outcomes are both tried. Directories exist as soon as a path names them.
 */
import type { Random } from '#base'
import { SystemFault } from './errors.ts'
import { FileBytes } from './file-bytes.ts'

const SECTOR_BYTES = 512

/** A change of contents that is not durable yet. `bytes` null: a truncation to `offset`. */
interface PendingChange {
  readonly offset: number
  readonly bytes: Uint8Array | null
}

class Inode {
  readonly cache = new FileBytes()
  readonly durable = new FileBytes()
  pending: PendingChange[] = []

  change(change: PendingChange): void {
    apply(this.cache, change)
    this.pending.push(change)
  }

  sync(): void {
    for (const change of this.pending) apply(this.durable, change)
    this.pending = []
  }
}

function apply(file: FileBytes, { offset, bytes }: PendingChange): void {
  if (bytes === null) file.truncate(offset)
  else file.write(offset, bytes)
}

/** A change of names that is not durable yet: what each path means afterwards. */
interface NameChange {
  readonly directories: readonly string[]
  readonly names: readonly (readonly [path: string, inode: Inode | null])[]
}

/** How much a power cut takes. */
type Cruelty = 'all' | 'none' | 'suffix' | 'any'
// biome-ignore format: a table
const cruelties: readonly Cruelty[] = ['all', 'all', 'none', 'suffix', 'suffix', 'any', 'any', 'any']

export class DiskImage {
  #names = new Map<string, Inode>()
  #durableNames = new Map<string, Inode>()
  #nameChanges: NameChange[] = []

  /** Bytes of all files as reads see them. */
  get usedBytes(): number {
    let sum = 0
    for (const { cache } of this.#names.values()) sum += cache.size
    return sum
  }

  size(path: string): number | undefined {
    return this.#names.get(path)?.cache.size
  }

  read(operation: string, path: string): Uint8Array {
    return this.#find(operation, path).cache.copy()
  }

  list(directory: string): string[] {
    const names: string[] = []
    for (const path of this.#names.keys()) {
      if (directoryOf(path) === directory) names.push(path.slice(path.lastIndexOf('/') + 1))
    }
    return names.sort()
  }

  /** Creates the file when it does not exist. `bytes` are copied. */
  write(path: string, offset: number, bytes: Uint8Array): void {
    this.#findOrCreate(path).change({ offset, bytes: bytes.slice() })
  }

  truncate(operation: string, path: string, sizeBytes: number): void {
    this.#find(operation, path).change({ offset: sizeBytes, bytes: null })
  }

  rename(operation: string, from: string, to: string): void {
    const inode = this.#find(operation, from)
    const directories = [...new Set([directoryOf(from), directoryOf(to)])]
    this.#rename({
      directories,
      names: [
        [from, null],
        [to, inode],
      ],
    })
  }

  unlink(operation: string, path: string): void {
    this.#find(operation, path)
    this.#rename({ directories: [directoryOf(path)], names: [[path, null]] })
  }

  fsync(operation: string, path: string): void {
    this.#find(operation, path).sync()
  }

  /** What a failed fsync does: nothing is durable, and nothing of it ever will be by itself. */
  dropPending(operation: string, path: string): void {
    this.#find(operation, path).pending = []
  }

  /** Durable: every change of names in `directory`, and what came before them elsewhere. */
  fsyncDirectory(directory: string): void {
    const needed = new Set([directory])
    const durable = new Set<NameChange>()
    for (const change of this.#nameChanges.toReversed()) {
      if (!change.directories.some((name) => needed.has(name))) continue
      durable.add(change)
      for (const name of change.directories) needed.add(name)
    }
    for (const change of this.#nameChanges)
      if (durable.has(change)) rename(this.#durableNames, change)
    this.#nameChanges = this.#nameChanges.filter((change) => !durable.has(change))
  }

  /** The power goes: what is read from now on is what the next boot finds. */
  crash(random: Random): void {
    const cruelty = cruelties[random.int(cruelties.length)] as Cruelty
    this.#crashNames(cruelty, random)
    const survivors = new Set(this.#durableNames.values())
    for (const inode of survivors) crashInode(inode, cruelty, random)
    this.#names = new Map(this.#durableNames)
  }

  #crashNames(cruelty: Cruelty, random: Random): void {
    const directories = new Set(this.#nameChanges.flatMap((change) => change.directories))
    const kept = new Map<string, number>()
    const count = this.#nameChanges.length
    for (const directory of directories) {
      const some = random.int(count + 1)
      kept.set(directory, cruelty === 'all' ? 0 : cruelty === 'none' ? count : some)
    }
    const cutOff = new Set<string>()
    this.#nameChanges.forEach((change, at) => {
      const isKept = change.directories.every(
        (directory) => !cutOff.has(directory) && at < (kept.get(directory) ?? 0),
      )
      if (isKept) rename(this.#durableNames, change)
      else for (const directory of change.directories) cutOff.add(directory)
    })
    this.#nameChanges = []
  }

  #rename(change: NameChange): void {
    rename(this.#names, change)
    this.#nameChanges.push(change)
  }

  #findOrCreate(path: string): Inode {
    const known = this.#names.get(path)
    if (known !== undefined) return known
    const made = new Inode()
    this.#rename({ directories: [directoryOf(path)], names: [[path, made]] })
    return made
  }

  #find(operation: string, path: string): Inode {
    const inode = this.#names.get(path)
    if (inode === undefined) throw new SystemFault('ENOENT', operation, path)
    return inode
  }
}

/** The directory of a path, '' for the root of the disk. */
export function directoryOf(path: string): string {
  const slash = path.lastIndexOf('/')
  return slash < 0 ? '' : path.slice(0, slash)
}

function rename(names: Map<string, Inode>, { names: changes }: NameChange): void {
  for (const [path, inode] of changes) {
    if (inode === null) names.delete(path)
    else names.set(path, inode)
  }
}

function crashInode(inode: Inode, cruelty: Cruelty, random: Random): void {
  const { pending, durable } = inode
  const prefix = random.int(pending.length + 1)
  pending.forEach((change, at) => {
    if (cruelty === 'none') apply(durable, change)
    else if (cruelty === 'suffix') {
      if (at < prefix) apply(durable, change)
      else if (at === prefix) tear(durable, change, random)
    } else if (cruelty === 'any') {
      const fate = random.int(3)
      if (fate === 0) apply(durable, change)
      else if (fate === 1) tear(durable, change, random)
    }
  })
  inode.pending = []
  inode.cache.replace(durable)
}

/** Some sectors of a write reach the disk: a prefix of it, or any of them. */
function tear(file: FileBytes, change: PendingChange, random: Random): void {
  const { offset, bytes } = change
  if (bytes === null) return
  const isPrefix = random.int(2) === 0
  const stop = offset + random.int(bytes.length + 1)
  const end = offset + bytes.length
  for (let at = offset; at < end; ) {
    const sectorEnd = Math.min(end, (Math.floor(at / SECTOR_BYTES) + 1) * SECTOR_BYTES)
    const isKept = isPrefix ? sectorEnd <= stop : random.int(2) === 0
    if (isKept) file.write(at, bytes.subarray(at - offset, sectorEnd - offset))
    at = sectorEnd
  }
}
