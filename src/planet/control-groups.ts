/**
 * The control groups of a planet's nodes. Each node sees a subtree of its own as its whole tree (node-init.sh
 * mounts it there), so that machines of different hosts do not meet, and none outlives the planet.
 * Source: Linux, Documentation/admin-guide/cgroup-v1/ and cgroup-v2.rst.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { errorCode, pollUntil } from '#base'
import { listFolder } from './folders.ts'

const MOUNT = '/sys/fs/cgroup'
const PARENT = 'godwit-planets'
const REMOVE_MS = 10_000
const CPUSET_FILES = ['cpuset.cpus', 'cpuset.mems'] as const

/** Of a node, below the root of each tree. */
export const groupOf = (planet: string, node: string): string => join(PARENT, planet, node)

/** Makes a node's group in every tree; those that are there stay. */
export function makeGroups(planet: string, node: string): void {
  for (const root of trees()) {
    let at = root
    for (const name of groupOf(planet, node).split('/')) {
      if (existsSync(join(at, 'cgroup.subtree_control'))) handDown(at)
      const below = join(at, name)
      mkdirSync(below, { recursive: true })
      for (const file of CPUSET_FILES) inherit(join(at, file), join(below, file))
      at = below
    }
  }
}

/** What was suspended in a node, or in all of a planet, may run again: with version 1 it does not die before. */
export function thawGroups(planet: string, node = ''): void {
  for (const root of trees()) thawTree(join(root, groupOf(planet, node)))
}

/** Takes a planet's groups away, once no process is in them. */
export async function removeGroups(planet: string, signal?: AbortSignal): Promise<void> {
  const remove = () => {
    thawGroups(planet)
    return trees().every((root) => removeTree(join(root, PARENT, planet)))
  }
  await pollUntil(`the end of the control groups of planet ${planet}`, remove, {
    deadlineMs: REMOVE_MS,
    signal,
  })
  for (const root of trees()) removeEmpty(join(root, PARENT))
}

/** One with version 2, one for each controller with version 1. */
function trees(): string[] {
  if (existsSync(join(MOUNT, 'cgroup.controllers'))) return [MOUNT]
  return listFolder(MOUNT)
    .map((name) => join(MOUNT, name))
    .filter((folder) => existsSync(join(folder, 'cgroup.procs')))
}

/** With version 2 a group's children have the controllers that it hands down. */
function handDown(group: string): void {
  const has = readFileSync(join(group, 'cgroup.controllers'), 'utf8').trim()
  if (has === '') return
  const words = has.split(/\s+/).map((name) => `+${name}`)
  writeFileSync(join(group, 'cgroup.subtree_control'), words.join(' '))
}

/** With version 1 a new group of cpuset has no CPUs, and nothing can run in it. */
function inherit(from: string, to: string): void {
  if (!existsSync(to) || existsSync(join(to, '..', 'cgroup.subtree_control'))) return
  if (readFileSync(to, 'utf8').trim() === '') writeFileSync(to, readFileSync(from, 'utf8'))
}

const THAW = [
  ['freezer.state', 'THAWED'],
  ['cgroup.freeze', '0'],
] as const

function thawTree(group: string): void {
  const [file, word] = THAW.find(([name]) => existsSync(join(group, name))) ?? []
  if (file === undefined) return // of another controller, or gone
  writeUnlessGone(join(group, file), word)
  for (const entry of readdirSync(group, { withFileTypes: true })) {
    if (entry.isDirectory()) thawTree(join(group, entry.name))
  }
}

/** Its group may go at any moment. */
function writeUnlessGone(path: string, word: string): void {
  try {
    writeFileSync(path, word)
  } catch (error) {
    if (errorCode(error) !== 'ENOENT' && errorCode(error) !== 'ENODEV') throw error
  }
}

/** True: gone. */
function removeTree(group: string): boolean {
  if (!existsSync(group)) return true
  for (const entry of readdirSync(group, { withFileTypes: true })) {
    if (entry.isDirectory() && !removeTree(join(group, entry.name))) return false
  }
  return removeEmpty(group)
}

function removeEmpty(group: string): boolean {
  try {
    rmdirSync(group)
    return true
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return true
    if (errorCode(error) === 'EBUSY' || errorCode(error) === 'ENOTEMPTY') return false
    throw error
  }
}
