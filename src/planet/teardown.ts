import { existsSync, statSync } from 'node:fs'
import { pollUntil } from '#base'
import { signalPid } from '#supervise'
import { removeGroups } from './control-groups.ts'
import { findProcesses } from './find-processes.ts'
import { listFolder, listFolders, nodeDiskFolder, removeFolders, runFolder } from './folders.ts'
import { MEMBER_MARK } from './node.ts'
import { NETNS_PREFIX, netnsName } from './plan.ts'
import { run } from './system.ts'

const NETNS_FOLDER = '/run/netns'
const DEATH_DEADLINE_MS = 10_000

/** Names of all planets of which anything is left on this machine, whole or not. */
export function listPlanets(): string[] {
  const named = listFolder(NETNS_FOLDER).flatMap((netns) => {
    const [prefix, planet] = netns.split('.')
    return prefix === NETNS_PREFIX && planet !== undefined ? [planet] : []
  })
  return [...new Set([...named, ...listFolders()])].sort()
}

/**
 * Removes everything that bears the planet's name. Works from what is found on the machine, not from
 * what somebody remembers to have made, so it also clears up after a `kill -9` at any moment.
 * May run twice.
 */
export async function teardown(planet: string, signal?: AbortSignal): Promise<void> {
  const namespaces = listFolder(NETNS_FOLDER).filter((netns) =>
    netns.startsWith(netnsName(planet, '')),
  )
  await endProcesses(planet, namespaces, signal)
  await detachLoops(planet, signal)
  await removeGroups(planet, signal)
  const lines = namespaces.map((netns) => `netns del ${netns}`)
  if (lines.length > 0) await run('ip', ['-batch', '-'], { input: `${lines.join('\n')}\n`, signal })
  removeFolders(planet)
}

/** SIGKILL until none is left: each round may meet children that the one before could not see. */
async function endProcesses(
  planet: string,
  namespaces: readonly string[],
  signal?: AbortSignal,
): Promise<void> {
  const files = namespaces.map((netns) => `${NETNS_FOLDER}/${netns}`)
  const killAll = () => {
    const pids = findProcesses(files, [MEMBER_MARK, planet])
    for (const pid of pids) signalPid(pid, 'SIGKILL')
    return pids.length === 0
  }
  await pollUntil(`the end of every process of planet ${planet}`, killAll, {
    deadlineMs: DEATH_DEADLINE_MS,
    signal,
  })
}

interface LoopDevice {
  readonly name: string
  readonly 'back-ino': number
  readonly 'back-maj:min': string
}

/**
 * Loop devices over files on a node's disk outlive the node. The path that the kernel shows is one of
 * the node's mount namespace, which is gone, so the file is found by its inode.
 */
async function detachLoops(planet: string, signal?: AbortSignal): Promise<void> {
  const roots = [runFolder(planet), nodeDiskFolder(planet, '')].filter((root) => existsSync(root))
  if (roots.length === 0) return
  for (const device of await listLoops(signal)) {
    const search = [...roots, '-xdev', '-inum', String(device['back-ino']), '-print', '-quit']
    const path = (await run('find', search, { signal })).trim()
    if (path === '' || deviceOf(path) !== device['back-maj:min'].trim()) continue
    try {
      await run('losetup', ['--detach', device.name], { signal })
    } catch (error) {
      // With its last mount a device lets go by itself, which may have been just now.
      const left = await listLoops(signal)
      if (left.some((one) => one.name === device.name && isSameFile(one, device))) throw error
    }
  }
}

async function listLoops(signal?: AbortSignal): Promise<LoopDevice[]> {
  const columns = 'NAME,BACK-INO,BACK-MAJ:MIN'
  const listing = await run('losetup', ['--json', '-l', '-O', columns], { signal })
  const { loopdevices = [] } = JSON.parse(listing || '{}') as { loopdevices?: LoopDevice[] }
  return loopdevices
}

const isSameFile = (a: LoopDevice, b: LoopDevice) =>
  a['back-ino'] === b['back-ino'] && a['back-maj:min'] === b['back-maj:min']

/** `major:minor` of the file system that holds a file. Source: gnu_dev_major(3), 64-bit encoding. */
function deviceOf(path: string): string {
  const { dev } = statSync(path, { bigint: true })
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn)
  const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn)
  return `${major}:${minor & 0xffff_ffffn}`
}
