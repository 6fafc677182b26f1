import assert from 'node:assert/strict'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { parseMachineId } from '#base'
import { inside, type JailStart, jailerArguments, jailOf } from './jail.ts'
import { layOutJail, removeJail } from './jail-files.ts'

const id = parseMachineId('148ed599c14189')
const bad = { code: 'guest.jail_bad' }
const uid = process.getuid?.() || 20_000

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'godwit-jail-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

test('a jail lies where the jailer makes it, named by the binary and the machine', () => {
  const jail = jailOf(id, { baseFolder: '/srv/jailer', firecrackerPath: '/opt/firecracker-1.17' })
  assert.equal(jail.root, '/srv/jailer/firecracker-1.17/148ed599c14189/root')
  assert.equal(jail.pidFile, `${jail.root}/firecracker-1.17.pid`)
  assert.equal(jail.apiSocket, `${jail.root}/run/api.sock`)
})

test('a base folder that makes the socket path too long is refused before anything is made', () => {
  const firecrackerPath = '/opt/firecracker'
  const fixed = '/firecracker/148ed599c14189/root/run/api.sock'.length
  const baseFolder = `/${'x'.repeat(107 - fixed - 1)}`
  assert.equal(jailOf(id, { baseFolder, firecrackerPath }).apiSocket.length, 107)
  assert.throws(() => jailOf(id, { baseFolder: `${baseFolder}x`, firecrackerPath }), bad)
})

const start: JailStart = { id, uid: 20_000, baseFolder: '/j', firecrackerPath: '/opt/firecracker' }

test('the jailer is called with the namespace and the limits of the guest', () => {
  const settings = [{ file: 'memory.max', value: '268435456' }]
  const cgroup = { version: 2, parent: 'godwit', settings } as const
  const text = jailerArguments({ ...start, netnsPath: '/run/netns/m', cgroup }).join(' ')
  assert.match(text, /--uid 20000 --gid 20000 /)
  assert.match(text, /--netns \/run\/netns\/m --cgroup-version 2 --parent-cgroup godwit /)
  assert.match(text, /--cgroup memory\.max=268435456 .*-- --api-sock \/run\/api\.sock /)
  assert.doesNotMatch(text, /daemonize|new-pid-ns/)
})

test('root, a broken setting and a cpuset without its memory are refused', () => {
  const withSetting = (file: string, value: string): JailStart => ({
    ...start,
    cgroup: { version: 1, parent: 'godwit', settings: [{ file, value }] },
  })
  assert.throws(() => jailerArguments({ ...start, uid: 0 }), bad)
  assert.throws(() => jailerArguments(withSetting('../x', '1')), bad)
  assert.throws(() => jailerArguments(withSetting('cpuset.cpus', '0')), bad)
})

test('files stand in the jail, a linked one is the disk itself, and all is made anew each time', async (t) => {
  const base = folder(t)
  const jail = jailOf(id, { baseFolder: join(base, 'j'), firecrackerPath: '/opt/firecracker' })
  const disk = join(base, 'disk')
  const kernel = join(base, 'kernel')
  writeFileSync(disk, 'disk')
  writeFileSync(kernel, 'kernel')
  mkdirSync(join(jail.root, 'dev'), { recursive: true })
  writeFileSync(join(jail.root, 'dev/kvm'), 'left by the jailer')
  await layOutJail(jail, uid, [
    { from: disk, to: inside.drive(0), how: 'linked' },
    { from: kernel, to: inside.kernel, how: 'copied', isWritable: false },
  ])
  assert(!existsSync(join(jail.root, 'dev/kvm')))
  assert.equal(statSync(join(jail.root, 'disk0')).ino, statSync(disk).ino)
  assert.notEqual(statSync(join(jail.root, 'kernel')).ino, statSync(kernel).ino)
  assert.equal(statSync(join(jail.root, 'kernel')).mode & 0o777, 0o400)
  assert.equal(statSync(join(jail.root, 'kernel')).uid, uid)
  await removeJail(jail)
  await removeJail(jail)
  assert(!existsSync(jail.folder))
  assert.equal(readFileSync(disk, 'utf8'), 'disk')
})

test('a file that is missing or would leave the jail leaves no jail behind', async (t) => {
  const base = folder(t)
  const jail = jailOf(id, { baseFolder: base, firecrackerPath: '/opt/firecracker' })
  const missing = { from: join(base, 'none'), to: '/disk0', how: 'linked' } as const
  await assert.rejects(layOutJail(jail, uid, [missing]), { code: 'ENOENT' })
  assert(!existsSync(jail.folder))
  const outside = { from: join(base, 'none'), to: '/../../x', how: 'copied' } as const
  await assert.rejects(layOutJail(jail, uid, [outside]), bad)
  assert(!existsSync(jail.folder))
})
