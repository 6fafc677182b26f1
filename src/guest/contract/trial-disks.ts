/** For tests: machines with a root of busybox, on whatever runtime. */
import { execFileSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type MachineId, newMachineId, systemRandom } from '#base'
import type { GuestSpec } from '../guest-spec.ts'

const ROOT_BYTES = 24 << 20
const VOLUME_MIB = 16
const MEMORY_MIB = 192
const busyboxPlaces = ['/usr/bin/busybox', '/bin/busybox']
const folders = ['bin', 'dev', 'proc', 'sys', 'run', 'etc', 'tmp', 'root', 'data', 'home/app']

/** A folder with images of the disks; short, because sockets lie in a folder of it. */
export class TrialDisks {
  readonly folder = mkdtempSync(join(tmpdir(), 'gg-'))
  readonly #base = join(this.folder, 'base.ext4')

  constructor() {
    const staging = join(this.folder, 'staging')
    for (const name of folders) mkdirSync(join(staging, name), { recursive: true })
    const busybox = busyboxPlaces.find((path) => existsSync(path))
    if (busybox === undefined) throw new Error('busybox is missing: npm run setup')
    copyFileSync(busybox, join(staging, 'bin/busybox'))
    const commands = execFileSync(busybox, ['--list']).toString().trim().split('\n')
    for (const name of commands.filter((one) => one !== 'busybox')) {
      symlinkSync('busybox', join(staging, 'bin', name))
    }
    writeFileSync(
      join(staging, 'etc/passwd'),
      'root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n',
    )
    makeExt4(this.#base, ROOT_BYTES, staging)
    rmSync(staging, { recursive: true })
  }

  get stateDir(): string {
    return join(this.folder, 's')
  }

  spec(changes: Partial<GuestSpec> = {}): GuestSpec {
    const id = newMachineId(systemRandom)
    return {
      id,
      cpu: { kind: 'shared', count: 1 },
      memoryMib: MEMORY_MIB,
      rootfs: { serial: 'root', path: this.root(id) },
      ...changes,
    }
  }

  root(id: MachineId): string {
    const path = join(this.folder, `${id}.root`)
    execFileSync('cp', ['--sparse=always', '--reflink=auto', this.#base, path])
    return path
  }

  volume(mib = VOLUME_MIB): string {
    const path = join(this.folder, `${newMachineId(systemRandom)}.volume`)
    makeExt4(path, mib * 2 ** 20)
    return path
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

function makeExt4(path: string, bytes: number, from?: string): void {
  writeFileSync(path, '')
  truncateSync(path, bytes)
  const content = from === undefined ? [] : ['-d', from]
  execFileSync('mkfs.ext4', ['-q', '-F', ...content, path], { stdio: ['ignore', 'ignore', 'pipe'] })
}
