import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { errorCode, isMachineId, type MachineId, writeDurably } from '#base'
import { Net6Error } from '../errors.ts'
import type { MachineNetworkSpec } from './machine-network.ts'

/** What was given to a machine, and stays its own until it is removed. */
export interface MachineRecord extends MachineNetworkSpec {
  /** Fields of its 6PN address. */
  readonly host: number
  readonly machine: number
  /** Index of its private IPv4 network among those of the host. */
  readonly slot: number
  /** It was taken down, as of a stopped machine: nothing but this record is to be there. */
  readonly isAtRest?: true
}

/** One file a machine; a file is whole or not there. */
export class MachineRecords {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  /** @throws Net6Error net6.state_bad: a file that this part did not write */
  async readAll(): Promise<Map<MachineId, MachineRecord>> {
    const records = new Map<MachineId, MachineRecord>()
    for (const file of await this.#files()) {
      const id = file.slice(0, -'.json'.length)
      if (!file.endsWith('.json') || !isMachineId(id)) continue // a draft of a process that died
      records.set(id, await this.#read(file))
    }
    return records
  }

  async #files(): Promise<string[]> {
    try {
      return await readdir(this.#folder)
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error
      return [] // nothing was given yet
    }
  }

  async #read(file: string): Promise<MachineRecord> {
    const path = join(this.#folder, file)
    try {
      return JSON.parse(await readFile(path, 'utf8')) as MachineRecord
    } catch (cause) {
      throw new Net6Error('net6.state_bad', {
        what: "a machine's network record cannot be read",
        values: { path },
        fix: 'restore it from a backup, or remove it together with the machine',
        cause,
      })
    }
  }

  async write(record: MachineRecord): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    await writeDurably(join(this.#folder, `${record.id}.json`), `${JSON.stringify(record)}\n`)
  }

  async remove(id: MachineId): Promise<void> {
    await rm(join(this.#folder, `${id}.json`), { force: true })
  }
}
