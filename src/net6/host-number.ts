/**
 * The host's own field in addresses, in a file of its state folder: chosen once, before the first address is
 * given. Whoever comes first chooses (the daemon of the network, or flyd); the other finds it.
 */
import { link, mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { errorCode, writeDurably } from '#base'
import { chooseHostField, type HostClaim } from './allocation.ts'
import { Net6Error } from './errors.ts'

/** What the file has; `host` is the field, with its marker. */
interface Kept {
  readonly hostId: string
  readonly host: number
}

const pathOf = (folder: string) => join(folder, 'host.json')

/** Whose state the folder is of; undefined: no number is chosen yet. @throws Net6Error net6.state_bad */
export const readHostId = async (folder: string): Promise<string | undefined> =>
  (await readKept(folder))?.hostId

/**
 * @param hostId absent: whichever host the folder is of
 * @returns undefined: none is chosen yet
 * @throws Net6Error net6.state_bad
 */
export async function readHostField(
  folder: string,
  hostId: string | undefined,
): Promise<number | undefined> {
  const kept = await readKept(folder)
  if (kept === undefined || hostId === undefined || kept.hostId === hostId) return kept?.host
  throw bad(`it is of host ${kept.hostId}, and this is ${hostId}`, pathOf(folder))
}

async function readKept(folder: string): Promise<Kept | undefined> {
  const path = pathOf(folder)
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Kept
  } catch (cause) {
    if (errorCode(cause) === 'ENOENT') return undefined
    throw bad('it cannot be read', path, cause)
  }
}

/**
 * The field of this host, chosen now if it has none yet.
 *
 * @param claims what is known of other hosts; asked only when there is something to choose
 * @throws Net6Error net6.state_bad, net6.pool_full
 */
export async function ensureHostField(
  folder: string,
  hostId: string,
  claims: () => Promise<Iterable<HostClaim>>,
): Promise<number> {
  const kept = await readHostField(folder, hostId)
  if (kept !== undefined) return kept
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const host = chooseHostField(hostId, await claims())
  const draft = join(folder, `host.${process.pid}`)
  await writeDurably(draft, textOf({ hostId, host }))
  try {
    await link(draft, pathOf(folder)) // fails when another process was faster
    return host
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error
    return await ensureHostField(folder, hostId, claims)
  } finally {
    await rm(draft, { force: true })
  }
}

/** Gives the host another field: what stands keeps the old one until it is made anew. */
export const moveHostField = (folder: string, hostId: string, host: number): Promise<void> =>
  writeDurably(pathOf(folder), textOf({ hostId, host }))

const textOf = (kept: Kept) => `${JSON.stringify(kept)}\n`

const bad = (why: string, path: string, cause?: unknown) =>
  new Net6Error('net6.state_bad', {
    what: "the file with this host's number is of no use",
    values: { path, why },
    fix: 'restore it, or stop all machines of this host and remove it: another number is chosen then',
    cause,
  })
