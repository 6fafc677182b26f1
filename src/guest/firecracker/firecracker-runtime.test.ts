/** What the runtime promises of the host's side, against the stand-in of Firecracker's API. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, globSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { Cgroup } from '../cgroup/cgroup.ts'
import { TrialDisks } from '../contract/trial-disks.ts'
import type { Guest } from '../runtime.ts'
import { tracesOnHost } from '../traces-on-host.ts'
import { userIdOf } from '../user-id.ts'
import { FirecrackerRuntime } from './firecracker-runtime.ts'

const TRIAL = join(import.meta.dirname, 'trial-firecracker.ts')
const JAILER = join(import.meta.dirname, 'trial-jailer.ts')

describe('the runtime firecracker, over a stand-in of its API', () => {
  let disks: TrialDisks
  const open = (...words: string[]) =>
    new FirecrackerRuntime({
      ...{ stateDir: disks.stateDir, firecrackerPath: TRIAL },
      jailer: [process.execPath, '--disable-warning=ExperimentalWarning', JAILER, ...words],
      kernelPath: TRIAL,
      initrdPath: TRIAL,
    })
  before(() => {
    disks = new TrialDisks()
  })
  after(async () => {
    for (const { id } of await open().list()) await open().remove(id)
    disks.remove()
  })
  const boot = async (t: TestContext) => {
    const spec = disks.spec()
    t.after(() => open().remove(spec.id))
    return { spec, guest: await open().boot(spec) }
  }

  test('a guest boots, is listed and used, is told its disks’ paths, ends by kill and is removed', async (t) => {
    const { spec, guest } = await boot(t)
    assert.equal(guest.deviceOf?.('root'), '/dev/vda')
    assert.deepEqual(await open().list(), [{ id: spec.id, state: 'running' }])
    assert.equal(await echo(guest), 'hello')
    assert.ok((await guest.usage()).processes > 0)
    guest.setBandwidth({ quotaUs: 40_000, periodUs: 80_000 })
    await assert.rejects(open().boot(spec), { code: 'guest.exists' })
    await guest.kill()
    assert.deepEqual(await guest.ended, { cause: 'killed', isOutOfMemory: false })
    assert.deepEqual(await open().list(), [{ id: spec.id, state: 'ended' }])
    await assert.rejects(guest.openChannel(), { code: 'guest.ended' })
    await open().remove(spec.id)
    await open().remove(spec.id)
    assert.deepEqual(tracesOnHost([spec.id], disks.stateDir), [])
  })

  test('a guest gives memory by its balloon and gets it back', async (t) => {
    const { spec, guest } = await boot(t)
    const all = spec.memoryMib
    assert.deepEqual(await guest.memory(), { limitMib: all, availableMib: undefined })
    assert.equal(await guest.limitMemory(all - 8), all - 8)
    assert.equal((await guest.memory()).limitMib, all - 8)
    assert.equal(await guest.reclaimMemory(4), 4)
    assert.equal((await guest.memory()).limitMib, all - 8, 'what was reclaimed is still its own')
    assert.equal(await guest.limitMemory(all), all)
    for (const bad of [0, all + 1, 1.5]) {
      await assert.rejects(guest.limitMemory(bad), { code: 'guest.memory_bad' })
    }
    await guest.kill()
    await assert.rejects(guest.memory(), { code: 'guest.ended' })
  })

  test('a guest lives in a jail: its files are its user’s, what others share is theirs, groups hold it', async (t) => {
    const shared = join(disks.folder, 'shared.img')
    writeFileSync(shared, 'shared', { mode: 0o600 })
    const disk = { serial: 'tools', path: shared, readOnly: true }
    const spec = disks.spec({ disks: [disk] })
    t.after(() => open().remove(spec.id))
    using _guest = await open().boot(spec)
    const root = join(disks.stateDir, 'jails/trial-firecracker.ts', spec.id, 'root')
    const uid = userIdOf(spec.id)
    const statusOf = (name: string) => statSync(join(root, name))
    assert.equal(statusOf('disk0').ino, statSync(spec.rootfs.path).ino)
    assert.deepEqual(
      ['', 'disk0', 'kernel', 'run'].map((name) => statusOf(name).uid),
      [uid, uid, uid, uid],
    )
    assert.deepEqual([statusOf('disk1').uid, statusOf('disk1').mode & 0o777], [0, 0o444])
    assert.notEqual(statusOf('kernel').ino, statSync(TRIAL).ino)
    const pid = readFileSync(join(root, 'trial-firecracker.ts.pid'), 'utf8')
    assert.deepEqual(new Cgroup(spec.id).processes(), [Number(pid)])
    assert.match(
      readFileSync(`/proc/${pid}/cgroup`, 'utf8'),
      new RegExp(`memory.*:/godwit/${spec.id}|0::/godwit/${spec.id}`),
    )
    await open().remove(spec.id)
    assert.ok(!existsSync(root) && existsSync(spec.rootfs.path))
  })

  test('a guest is adopted by the next manager, suspended to files, and goes on in a new process', async (t) => {
    const { spec, guest } = await boot(t)
    guest[Symbol.dispose]()
    using adopted = await open().adopt(spec.id)
    assert.ok(adopted)
    await adopted.suspend()
    assert.equal((await adopted.ended).cause, 'suspended')
    assert.deepEqual(await open().list(), [{ id: spec.id, state: 'suspended' }])
    assert.equal(await open().adopt(spec.id), undefined)
    using again = await open().resume(spec.id)
    assert.equal(await echo(again), 'hello')
    assert.deepEqual(await open().list(), [{ id: spec.id, state: 'running' }])
    await assert.rejects(open().resume(spec.id), { code: 'guest.not_suspended' })
  })

  test('a snapshot that is refused costs the snapshot and says so', async (t) => {
    const { spec, guest } = await boot(t)
    await guest.suspend()
    writeFileSync(join(disks.stateDir, spec.id, 'snapshot.state'), 'broken')
    await assert.rejects(open().resume(spec.id), { code: 'guest.resume_failed' })
    assert.deepEqual(await open().list(), [])
  })

  test('a boot that fails at any call, or that never answers, leaves nothing', async () => {
    const calls = ['/machine-config', '/boot-source', '/drives/disk0', '/vsock', '/entropy']
    for (const path of [...calls, '/serial', '/actions']) {
      const spec = disks.spec()
      await assert.rejects(open('--refuse', path).boot(spec), { code: 'guest.boot_failed' }, path)
      assert.deepEqual(tracesOnHost([spec.id], disks.stateDir), [], path)
    }
    const spec = disks.spec()
    await assert.rejects(open('--silent').boot(spec, { deadlineMs: 700 }), {
      code: 'base.deadline_exceeded',
    })
    const missing = disks.spec({ rootfs: { serial: 'root', path: '/nonexistent/disk' } })
    await assert.rejects(open().boot(missing), { code: 'guest.spec_bad' })
    assert.deepEqual(tracesOnHost([spec.id, missing.id], disks.stateDir), [])
    assert.deepEqual(globSync(join(disks.stateDir, '{[!j]*,jails/*/*}')), [])
  })

  test('a suspension that is refused leaves the guest running', async (t) => {
    const spec = disks.spec()
    t.after(() => open().remove(spec.id))
    using guest = await open('--refuse', '/snapshot/create').boot(spec)
    await assert.rejects(guest.suspend(), { code: 'guest.suspend_failed' })
    assert.deepEqual(await open().list(), [{ id: spec.id, state: 'running' }])
    assert.equal(await echo(guest), 'hello')
  })

  test('a host without the program, kernel or initrd says what is missing', () => {
    const files = {
      stateDir: disks.stateDir,
      firecrackerPath: TRIAL,
      kernelPath: TRIAL,
      initrdPath: TRIAL,
    }
    assert.throws(() => new FirecrackerRuntime({ ...files, jailer: ['/none'] }), {
      code: 'guest.host_unable',
    })
  })
})

async function echo(guest: Guest): Promise<string> {
  const channel = await guest.openChannel()
  try {
    channel.write('hello')
    const [bytes] = await once(channel, 'data')
    return String(bytes)
  } finally {
    channel.destroy()
  }
}
