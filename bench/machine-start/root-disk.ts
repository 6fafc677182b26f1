import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const BYTES = 24 << 20
const FOLDERS = ['bin', 'dev', 'proc', 'sys', 'run', 'etc', 'tmp', 'root']

/** A root file system of busybox alone, as an image that machines get copies of. @returns its path */
export function makeRootDisk(folder: string): string {
  const staging = join(folder, 'root')
  for (const name of FOLDERS) mkdirSync(join(staging, name), { recursive: true })
  const busybox = execFileSync('sh', ['-c', 'command -v busybox']).toString().trim()
  copyFileSync(busybox, join(staging, 'bin/busybox'))
  for (const name of ['sh', 'echo', 'sleep', 'mount'])
    symlinkSync('busybox', join(staging, 'bin', name))
  const path = join(folder, 'root.ext4')
  writeFileSync(path, '')
  truncateSync(path, BYTES)
  execFileSync('mkfs.ext4', ['-q', '-F', '-d', staging, path], { stdio: 'ignore' })
  return path
}
