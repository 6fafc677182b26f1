/**
 * What is known of a local machine beyond the life of any process: `record.json` in its folder. It appears
 * before anything is made for the machine and goes after everything is gone, so nothing is ever forgotten.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { errorCode, isMachineId, type MachineId } from '#base'
import type { Accelerator, RuntimeKind } from '#guest'
import type { MachineConfig, MachineFile, MachinePlan } from '#machine'
import type { ProcessIdentity } from '#supervise'

export interface LocalRecord {
  readonly id: MachineId
  readonly name: string
  readonly image: { readonly reference: string; readonly digest?: string }
  readonly runtime: RuntimeKind
  /** What a virtual machine was last started with. @default tcg */
  readonly accelerator?: Accelerator
  readonly config: MachineConfig
  /** Set once the disks are made. */
  readonly plan?: MachinePlan
  readonly userFiles?: { readonly passwd: string; readonly group: string }
  readonly stopSignal: string
  readonly networkIndex?: number
  readonly ports: readonly PublishedPort[]
  /** It goes with everything that it wrote when it has ended. */
  readonly isTemporary: boolean
  /** It is stopped when nobody is attached to it any more. */
  readonly isBound: boolean
  /**
   * preparing, removing: `actor` is at it. starting, running: `actor` keeps it. When that process is dead,
   * whoever comes next goes on for it.
   */
  readonly phase: 'preparing' | 'starting' | 'running' | 'ended' | 'removing'
  readonly actor?: ProcessIdentity
  readonly createdAtMs: number
  readonly startedAtMs?: number
  readonly exit?: LocalExit
}

export interface PublishedPort {
  /** Of the host. */
  readonly address: string
  readonly hostPort: number
  readonly machinePort: number
}

export interface LocalExit {
  /** Of the command; 128 + the signal that ended it. */
  readonly code: number
  readonly isOutOfMemory: boolean
  readonly atMs: number
  /** Why there was no such code, as far as known. */
  readonly error?: string
}

const FILE = 'record.json'
const DRAFT = /^\.new-/

/** The records of all machines, as files. Who changes one holds the lock of the local mode. */
export class MachineRecords {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  }

  folderOf(id: MachineId): string {
    return join(this.#folder, id)
  }

  /** The folder appears with its record or not at all. */
  create(record: LocalRecord): void {
    const draft = join(this.#folder, `.new-${record.id}`)
    rmSync(draft, { recursive: true, force: true })
    mkdirSync(draft, { mode: 0o700 })
    writeFileSync(join(draft, FILE), encode(record), { mode: 0o600 })
    renameSync(draft, this.folderOf(record.id))
  }

  write(record: LocalRecord): void {
    const path = join(this.folderOf(record.id), FILE)
    writeFileSync(`${path}.new`, encode(record), { mode: 0o600 })
    renameSync(`${path}.new`, path)
  }

  read(id: MachineId): LocalRecord | undefined {
    try {
      return decode(readFileSync(join(this.folderOf(id), FILE), 'utf8'))
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return undefined
      throw error
    }
  }

  /** Oldest first. */
  list(): LocalRecord[] {
    const ids = readdirSync(this.#folder).filter(isMachineId)
    const records = ids.flatMap((id) => this.read(id) ?? [])
    return records.sort((a, b) => a.createdAtMs - b.createdAtMs)
  }

  remove(id: MachineId): void {
    rmSync(this.folderOf(id), { recursive: true, force: true })
  }

  /** Removes what a process left that died while it made a folder. */
  sweep(): void {
    for (const name of readdirSync(this.#folder).filter((one) => DRAFT.test(one))) {
      rmSync(join(this.#folder, name), { recursive: true, force: true })
    }
  }
}

type Encoded = Omit<MachineFile, 'content'> & { readonly content: string }

/** Bytes of files as base64. */
function encode(record: LocalRecord): string {
  return JSON.stringify(record, (key, value) =>
    key === 'files' && Array.isArray(value)
      ? value.map((file: MachineFile) => ({
          ...file,
          content: Buffer.from(file.content).toString('base64'),
        }))
      : value,
  )
}

function decode(text: string): LocalRecord {
  return JSON.parse(text, (key, value) =>
    key === 'files' && Array.isArray(value)
      ? value.map((file: Encoded) => ({ ...file, content: Buffer.from(file.content, 'base64') }))
      : value,
  ) as LocalRecord
}
