/** For tests: an image of busybox as an OCI layout, and a folder for the local mode that is removed whole. */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LocalMachines } from './local-machines.ts'

const busyboxPlaces = ['/usr/bin/busybox', '/bin/busybox']
const FOLDERS = ['bin', 'etc', 'tmp', 'root', 'home/app']
const PASSWD = 'root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n'

const umoci = (...words: string[]) => execFileSync('umoci', words, { stdio: 'pipe' })

function makeLayout(layout: string, tar: string): void {
  umoci('init', '--layout', layout)
  umoci('new', '--image', `${layout}:v1`)
  umoci('raw', 'add-layer', '--image', `${layout}:v1`, tar)
}

export class TrialFolder implements AsyncDisposable {
  /** Short: sockets lie below. */
  readonly path = mkdtempSync(join(tmpdir(), 'gl-'))
  readonly stateDir = join(this.path, 's')

  /** @returns folder of an OCI layout whose image is `v1`. */
  makeImage(): string {
    const root = join(this.path, 'root')
    for (const name of FOLDERS) mkdirSync(join(root, name), { recursive: true })
    const busybox = busyboxPlaces.find((path) => existsSync(path))
    if (busybox === undefined) throw new Error('busybox is missing: npm run setup')
    copyFileSync(busybox, join(root, 'bin/busybox'))
    const commands = execFileSync(busybox, ['--list']).toString().trim().split('\n')
    for (const name of commands.filter((one) => one !== 'busybox')) {
      symlinkSync('busybox', join(root, 'bin', name))
    }
    writeFileSync(join(root, 'etc/passwd'), PASSWD)
    writeFileSync(join(root, 'etc/group'), 'extra:x:77:app\n')
    const [layout, tar] = [join(this.path, 'layout'), join(this.path, 'root.tar')]
    chownSync(join(root, 'home/app'), 1000, 1000)
    chmodSync(join(root, 'tmp'), 0o1777)
    chmodSync(root, 0o755)
    execFileSync('tar', ['-C', root, '-cf', tar, '.'])
    const image = ['--image', `${layout}:v1`]
    const settings = ['--config.cmd=/bin/sh', '--config.env=PATH=/bin', '--config.env=FROM=image']
    makeLayout(layout, tar)
    umoci('config', ...image, ...settings, '--config.user=app', '--config.workingdir=/home/app')
    return layout
  }

  /** A Debian of few packages, perl among them. @returns folder of an OCI layout whose image is `v1`. */
  makeDebian(): string {
    const [layout, tar] = [join(this.path, 'debian'), join(this.path, 'debian.tar')]
    const packages = '--include=base-files,passwd,perl-base'
    execFileSync('mmdebstrap', ['--quiet', '--variant=extract', packages, 'bookworm', tar], {
      stdio: 'pipe',
    })
    makeLayout(layout, tar)
    return layout
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (existsSync(this.stateDir)) {
      const machines = await LocalMachines.open(this.stateDir)
      await machines.purge({ force: true })
    }
    rmSync(this.path, { recursive: true, force: true })
  }
}
