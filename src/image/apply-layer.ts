import {
  chmodSync,
  closeSync,
  constants,
  ftruncateSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { ImageError } from './errors.ts'
import { makeNode, setXattr } from './libc.ts'
import { hostile, lookAt, resolveFolder, splitName } from './root-tree.ts'
import { readTar, type TarEntry } from './tar-reader.ts'

/** What an image may still use; counts down over its layers, so that a bomb ends early. */
export interface UnpackBudget {
  bytes: number
  entries: number
}

export const newBudget = (): UnpackBudget => ({ bytes: 8 * 2 ** 30, entries: 2_000_000 })

const WHITEOUT = '.wh.'
const OPAQUE = '.wh..wh..opq'
const DEVICE_MAJOR_MAX = 0xfff
const DEVICE_MINOR_MAX = 0xfffff

/** What this layer has put where, and directories whose times are set when nothing more comes. */
interface Layer {
  readonly root: string
  readonly budget: UnpackBudget
  readonly added: Set<string>
  readonly folderTimes: Map<string, number>
}

/**
 * Applies one uncompressed layer to `root`, on top of what is there. Source: OCI image-spec, layer.md.
 * Needs root's rights for owners and devices.
 *
 * @throws ImageError image.archive_bad, image.archive_hostile, image.too_large, image.system; `root` is then useless.
 */
export async function applyLayer(
  root: string,
  tar: AsyncIterable<Uint8Array>,
  budget: UnpackBudget,
  signal?: AbortSignal,
): Promise<void> {
  // A layer that says nothing of `/` does not change its time, so that one image always gives one root.
  const folderTimes = new Map([[root, lstatSync(root).mtimeMs / 1000]])
  const layer: Layer = { root, budget, added: new Set(), folderTimes }
  for await (const entry of readTar(tar)) {
    signal?.throwIfAborted()
    budget.entries -= 1
    if (budget.entries < 0) throw tooLarge()
    await applyEntry(layer, entry)
  }
  for (const [path, seconds] of layer.folderTimes) {
    if (lookAt(path)?.isDirectory()) lutimesSync(path, seconds, seconds)
  }
}

async function applyEntry(layer: Layer, entry: TarEntry): Promise<void> {
  const parts = splitName(entry.name)
  const base = parts.pop()
  if (base === undefined) {
    if (entry.type === '5') setMetadata(layer, layer.root, entry)
    return
  }
  const folder = resolveFolder(layer.root, parts)
  if (base.startsWith(WHITEOUT)) {
    whiteOut(layer, folder, base)
    return
  }
  const path = join(folder, base)
  const before = lookAt(path)
  if (before !== undefined && !(before.isDirectory() && entry.type === '5')) {
    rmSync(path, { recursive: true })
  }
  await create(layer, path, entry, before?.isDirectory() ?? false)
  for (let at = path; at.length > layer.root.length; at = join(at, '..')) layer.added.add(at)
  if (entry.type !== '1') setMetadata(layer, path, entry)
}

/** Only what lower layers brought is hidden: this layer's own files stay. */
function whiteOut({ root, added }: Layer, folder: string, base: string): void {
  if (base !== OPAQUE) {
    const name = base.slice(WHITEOUT.length)
    if (name === '' || name === '.' || name === '..')
      throw hostile('a whiteout reaches beyond its folder', base)
    if (base.startsWith('.wh..wh.')) return // aufs's own bookkeeping
    removeLower(join(folder, name), added)
    return
  }
  if (folder.length < root.length) throw hostile('an opaque mark outside of the root', base)
  for (const name of readdirSync(folder)) removeLower(join(folder, name), added)
}

function removeLower(path: string, added: ReadonlySet<string>): void {
  if (!added.has(path)) {
    rmSync(path, { recursive: true, force: true })
    return
  }
  if (!lookAt(path)?.isDirectory()) return
  for (const name of readdirSync(path)) removeLower(join(path, name), added)
}

async function create(
  layer: Layer,
  path: string,
  entry: TarEntry,
  wasFolder: boolean,
): Promise<void> {
  switch (entry.type) {
    case '0':
    case '7':
      return await writeContent(layer, path, entry)
    case '1':
      return linkTo(layer, path, entry.linkName)
    case '2':
      return symlinkSync(entry.linkName, path)
    case '3':
      return makeDevice(path, constants.S_IFCHR, entry)
    case '4':
      return makeDevice(path, constants.S_IFBLK, entry)
    case '5':
      if (!wasFolder) mkdirSync(path, 0o700)
      return
    case '6':
      return makeNode(path, constants.S_IFIFO | 0o600, { major: 0, minor: 0 })
    default: {
      const values = { type: entry.type, name: entry.name }
      throw new ImageError('image.archive_bad', { what: 'an entry of an unknown type', values })
    }
  }
}

function makeDevice(path: string, kind: number, { major, minor, name }: TarEntry): void {
  const isValid = major >= 0 && major <= DEVICE_MAJOR_MAX && minor >= 0 && minor <= DEVICE_MINOR_MAX
  if (!isValid) throw hostile('a device with an impossible number', name)
  makeNode(path, kind | 0o600, { major, minor })
}

/** Link targets are names in the archive; the last part is taken as it is, even a symbolic link. */
function linkTo({ root }: Layer, path: string, linkName: string): void {
  const parts = splitName(linkName)
  const base = parts.pop()
  const target =
    base === undefined ? root : join(resolveFolder(root, parts, { create: false }), base)
  const found = lookAt(target)
  if (found === undefined || found.isDirectory())
    throw hostile('a hard link to what is no file', linkName)
  linkSync(target, path)
}

/** Pieces of zeros become holes. */
async function writeContent({ budget }: Layer, path: string, entry: TarEntry): Promise<void> {
  budget.bytes -= entry.size
  if (budget.bytes < 0) throw tooLarge() // before the first byte
  const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants
  const fd = openSync(path, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, 0o600)
  try {
    let at = 0
    for await (const piece of entry.content()) {
      const isHole = piece.length >= 4096 && ZEROS.subarray(0, piece.length).equals(piece)
      for (let done = 0; !isHole && done < piece.length; ) {
        done += writeSync(fd, piece, done, piece.length - done, at + done)
      }
      at += piece.length
    }
    ftruncateSync(fd, entry.size)
  } finally {
    closeSync(fd)
  }
}

const ZEROS = Buffer.alloc(1 << 20)

/** Owner first: changing it clears setuid bits and capabilities. */
function setMetadata(layer: Layer, path: string, entry: TarEntry): void {
  lchownSync(path, entry.uid, entry.gid)
  if (entry.type !== '2') chmodSync(path, entry.mode)
  for (const [name, value] of entry.xattrs) setXattr(path, name, value)
  if (entry.type === '5') layer.folderTimes.set(path, entry.mtimeSeconds)
  else lutimesSync(path, entry.mtimeSeconds, entry.mtimeSeconds)
}

const tooLarge = () =>
  new ImageError('image.too_large', {
    what: 'the unpacked image is too large',
    values: { bytesMax: newBudget().bytes, entriesMax: newBudget().entries },
    fix: 'leave out what the app does not need at run time',
  })
