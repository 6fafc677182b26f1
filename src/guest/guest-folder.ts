/**
 * What a host knows of a guest beyond the life of the process that booted it: a folder by its id, in
 * which `guest.json` says what it is and which process it is. A folder without that file, or whose guest
 * never ended its boot, is the remains of a crash.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { errorCode, isMachineId, type MachineId } from '#base'
import type { ProcessIdentity } from '#supervise'
import { GuestError } from './errors.ts'
import type { GuestSpec } from './guest-spec.ts'
import type { RuntimeKind } from './runtime.ts'

export interface GuestRecord {
  readonly kind: RuntimeKind
  readonly spec: GuestSpec
  /**
   * booting: `process` is who boots it, if anybody yet. running: `process` is the guest.
   * suspended: what it was is in the folder's other files.
   */
  readonly phase: 'booting' | 'running' | 'suspended'
  readonly process?: ProcessIdentity
  /** We ended it: it did not crash. */
  readonly isKilled?: boolean
}

const FILE = 'guest.json'

export class GuestFolder {
  readonly path: string
  readonly id: MachineId

  constructor(stateDir: string, id: MachineId) {
    this.id = id
    this.path = join(stateDir, id)
  }

  /** Ids of all guests of which there is a folder. */
  static list(stateDir: string): MachineId[] {
    try {
      return readdirSync(stateDir).filter(isMachineId)
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return []
      throw error
    }
  }

  /** @throws GuestError guest.exists */
  create(record: GuestRecord): void {
    mkdirSync(join(this.path, '..'), { recursive: true, mode: 0o700 })
    try {
      mkdirSync(this.path, { mode: 0o700 })
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw error
      throw new GuestError('guest.exists', {
        what: 'a guest of this id is there',
        values: { machine: this.id },
        fix: 'adopt, resume or remove it',
      })
    }
    this.write(record)
  }

  /** Whole or not at all. Not synced: after a power cut there is no guest either. */
  write(record: GuestRecord): void {
    const draft = this.file(`${FILE}.new`)
    writeFileSync(draft, JSON.stringify(record), { mode: 0o600 })
    renameSync(draft, this.file(FILE))
  }

  /** Undefined when there is none, or none that was written whole. */
  read(): GuestRecord | undefined {
    try {
      return JSON.parse(readFileSync(this.file(FILE), 'utf8')) as GuestRecord
    } catch (error) {
      if (error instanceof SyntaxError || errorCode(error) === 'ENOENT') return undefined
      throw error
    }
  }

  file(name: string): string {
    return join(this.path, name)
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}
