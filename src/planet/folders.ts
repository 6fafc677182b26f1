import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { errorCode } from '#base'
import type { WorldPlan } from './plan.ts'

/**
 * What a planet keeps on disk:
 *   /run/godwit/planets/<planet>/planet.json         the plan, and how far it was built
 *                                delay/               the process that delays frames
 *                                cuts/<link>.json     links that are cut
 *                                nodes/<node>/        seen by the node as /run/godwit
 *   /var/lib/godwit/planets/<planet>/<node>/         seen by the node as /var/lib/godwit: its disk
 *                                    .operator/       on no node: what an operator keeps at home
 */
const RUN_ROOT = '/run/godwit/planets'
const DISK_ROOT = '/var/lib/godwit/planets'

export const runFolder = (planet: string, ...rest: string[]) => join(RUN_ROOT, planet, ...rest)
export const nodeRunFolder = (planet: string, node: string, ...rest: string[]) =>
  join(RUN_ROOT, planet, 'nodes', node, ...rest)
export const nodeDiskFolder = (planet: string, node: string) => join(DISK_ROOT, planet, node)
export const operatorFolder = (planet: string, ...rest: string[]) =>
  join(DISK_ROOT, planet, '.operator', ...rest)

export const delayControlSocket = (planet: string) => runFolder(planet, 'delay', 'delay.ctl')

export interface PlanetRecord {
  /** `building` also stands for half-removed: only `down` may follow it. */
  readonly state: 'building' | 'ready'
  readonly plan: WorldPlan
}

export function createFolders({ name, nodes }: WorldPlan): void {
  mkdirSync(runFolder(name, 'cuts'), { recursive: true })
  mkdirSync(runFolder(name, 'delay'), { recursive: true })
  for (const node of nodes) {
    mkdirSync(nodeRunFolder(name, node.name, 'commands'), { recursive: true })
    mkdirSync(nodeDiskFolder(name, node.name), { recursive: true })
  }
}

/** Folders go last at removal: as long as they stand, `down` finds what there is to remove. */
export function removeFolders(planet: string): void {
  rmSync(join(DISK_ROOT, planet), { recursive: true, force: true })
  rmSync(runFolder(planet), { recursive: true, force: true })
}

export function writeRecord(record: PlanetRecord): void {
  writeJson(runFolder(record.plan.name, 'planet.json'), record)
}

/** Undefined when no planet of that name was ever begun. */
export function readRecord(planet: string): PlanetRecord | undefined {
  return readJson<PlanetRecord>(runFolder(planet, 'planet.json'))
}

/** Names of planets that have a folder, whole or not. */
export function listFolders(): string[] {
  const entries = [RUN_ROOT, DISK_ROOT].flatMap(listFolder)
  return [...new Set(entries)].filter((entry) => !entry.includes('.')) // a lock has a dot
}

export function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return []
    throw error
  }
}

/** Whole or not at all: a reader never sees half a file. */
export function writeJson(path: string, value: unknown): void {
  writeFileSync(`${path}.new`, JSON.stringify(value))
  renameSync(`${path}.new`, path)
}

/** Undefined when absent. The files are our own, written whole: their shape is trusted. */
export function readJson<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as T
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
}
