/** For tests and benchmarks: an image of busybox that serves a page on port 80. */
import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const busyboxPlaces = ['/usr/bin/busybox', '/bin/busybox']
const PASSWD = 'root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n'

/** @returns folder of an OCI layout whose image is `v1`. */
export function makeBusyboxLayout(folder: string): string {
  const root = join(folder, 'root')
  for (const name of ['bin', 'etc', 'tmp', 'root', 'www', 'proc']) {
    mkdirSync(join(root, name), { recursive: true })
  }
  const busybox = busyboxPlaces.find((path) => existsSync(path))
  if (busybox === undefined) throw new Error('busybox is missing: npm run setup')
  copyFileSync(busybox, join(root, 'bin/busybox'))
  const commands = execFileSync(busybox, ['--list']).toString().trim().split('\n')
  for (const name of commands.filter((one) => one !== 'busybox')) {
    symlinkSync('busybox', join(root, 'bin', name))
  }
  writeFileSync(join(root, 'etc/passwd'), PASSWD)
  writeFileSync(join(root, 'www/index.html'), 'a page\n')
  const [layout, tar] = [join(folder, 'layout'), join(folder, 'root.tar')]
  execFileSync('tar', ['--owner=0', '--group=0', '-C', root, '-cf', tar, '.'])
  const image = ['--image', `${layout}:v1`]
  for (const words of [
    ['init', '--layout', layout],
    ['new', ...image],
    ['raw', 'add-layer', ...image, tar],
    ['config', ...image, '--config.cmd=/bin/httpd', '--config.cmd=-f', '--config.cmd=-h/www'],
  ]) {
    execFileSync('umoci', words, { stdio: 'pipe' })
  }
  return layout
}
