/**
 * For tests: a process that does what Firecracker's jailer does, as far as that needs no Firecracker: the
 * jail's folders, nodes, copy and pid file, the control groups, the network namespace; then it becomes the
 * stand-in of Firecracker under the same pid. That one keeps to the jail by itself (`--root`): Node cannot
 * live in it. Words before the jailer's own go to the stand-in. Source: Firecracker, docs/jailer.md.
 */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'

const words = process.argv.slice(2)
const first = words.indexOf('--id')
const last = words.indexOf('--')
const { values } = parseArgs({
  args: words.slice(first, last),
  options: {
    ...{ id: { type: 'string' }, 'exec-file': { type: 'string' }, uid: { type: 'string' } },
    ...{ gid: { type: 'string' }, 'chroot-base-dir': { type: 'string' } },
    ...{ netns: { type: 'string' }, 'cgroup-version': { type: 'string' } },
    ...{ 'parent-cgroup': { type: 'string' }, cgroup: { type: 'string', multiple: true } },
    'resource-limit': { type: 'string', multiple: true },
  },
})
const { id = '', 'exec-file': execFile = '', 'chroot-base-dir': base = '' } = values
const uid = Number(values.uid)
const gid = Number(values.gid)

function fail(text: string): never {
  process.stderr.write(`${text}\nError: ${text}\n`)
  process.exit(1)
}

if (!/^[a-zA-Z0-9-]{1,64}$/.test(id)) fail(`Invalid instance ID: ${id}`)
for (const path of [base, execFile]) {
  if (!existsSync(path)) fail(`Failed to canonicalize path ${path}: No such file or directory`)
}
const root = join(base, basename(execFile), id, 'root')
mkdirSync(root, { recursive: true })
copyFileSync(execFile, join(root, basename(execFile)))
joinCgroups()
for (const folder of ['', 'dev', 'dev/net', 'run']) {
  mkdirSync(join(root, folder), { recursive: true })
  chownSync(join(root, folder), uid, gid)
  chmodSync(join(root, folder), 0o700)
}
for (const [name, major, minor] of [
  ['net/tun', 10, 200],
  ['kvm', 10, 232],
  ['urandom', 1, 9],
] as const) {
  const node = join(root, 'dev', name)
  if (existsSync(node)) fail(`Failed to create /dev/${name} via mknod inside the jail: File exists`)
  execFileSync('mknod', ['-m', '600', node, 'c', String(major), String(minor)])
  chownSync(node, uid, gid)
}
writeFileSync(join(root, `${basename(execFile)}.pid`), String(process.pid))

const node = [process.execPath, '--disable-warning=ExperimentalWarning', execFile]
const own = ['--root', root, '--uid', String(uid), '--id', id]
const command = [...node, ...words.slice(0, first), ...own, ...words.slice(last + 1)]
if (values.netns !== undefined) {
  command.unshift('/usr/bin/nsenter', `--net=${values.netns}`, '--')
}
process.execve?.(command[0] ?? '', command, {})

/** `<mount of the controller>/<parent>/<id>`, of those controllers alone that a setting names. */
function joinCgroups(): void {
  for (const setting of values.cgroup ?? []) {
    const [file = '', ...value] = setting.split('=')
    const controller = file.split('.')[0] ?? ''
    const group = join(mountOf(controller), values['parent-cgroup'] ?? '', id)
    mkdirSync(group, { recursive: true })
    writeFileSync(join(group, file), value.join('='))
    writeFileSync(join(group, 'cgroup.procs'), String(process.pid))
  }
}

function mountOf(controller: string): string {
  if (values['cgroup-version'] === '2') return '/sys/fs/cgroup'
  const mounts = globSync('/sys/fs/cgroup/*')
  const has = (path: string) => basename(path).split(',').includes(controller)
  return mounts.find(has) ?? fail(`Controller ${controller} is unavailable`)
}
