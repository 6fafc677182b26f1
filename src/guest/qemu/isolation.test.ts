import assert from 'node:assert/strict'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { connectAgent } from '../agent/agent.ts'
import { Cgroup } from '../cgroup/cgroup.ts'
import { scriptConfig } from '../contract/script-config.ts'
import { TrialDisks } from '../contract/trial-disks.ts'
import { userIdOf } from '../user-id.ts'
import { QemuRuntime } from './qemu-runtime.ts'

describe('a QEMU', () => {
  let disks: TrialDisks
  let runtime: QemuRuntime
  before(() => {
    disks = new TrialDisks()
    const build = join(import.meta.dirname, '../../../build/machine')
    runtime = new QemuRuntime({
      stateDir: disks.stateDir,
      cacheDir: join(disks.folder, 'cache'),
      // Debian's: it has the key that makes a kernel panic.
      kernelPath: join(build, 'vmlinux'),
      initramfsPath: join(build, 'initramfs.cpio'),
    })
  })
  after(async () => {
    for (const { id } of await runtime.list()) await runtime.remove(id)
    disks.remove()
  })

  async function start(t: TestContext, script: string) {
    const spec = disks.spec()
    const guest = await runtime.boot(spec)
    t.after(async () => {
      guest[Symbol.dispose]()
      await runtime.remove(spec.id)
    })
    const agent = await connectAgent(await guest.openChannel())
    t.after(() => agent.close())
    await agent.configure(scriptConfig(spec, script))
    await agent.start()
    return { spec, guest, pids: new Cgroup(spec.id).processes() }
  }

  test('has no right, no other process, no file and no network of the host', async (t) => {
    const { spec, pids } = await start(t, 'sleep 1000')
    assert.equal(pids.length, 1, 'nothing but QEMU runs for a machine')
    const [pid = 0] = pids
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    const field = (name: string) => new RegExp(`^${name}:[ \\t]*(.*)$`, 'm').exec(status)?.[1]
    const uid = String(userIdOf(spec.id))
    assert.deepEqual(field('Uid')?.split('\t'), [uid, uid, uid, uid])
    assert.equal(field('Groups')?.trim(), '')
    for (const name of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb'])
      assert.match(field(name) ?? '', /^0+$/)
    assert.equal(field('NoNewPrivs'), '1')
    assert.equal(field('Seccomp'), '2', 'a filter of system calls is on')
    for (const name of ['mnt', 'pid', 'net', 'ipc', 'uts']) {
      const [own, ours] = [pid, 'self'].map((one) => readlinkSync(`/proc/${one}/ns/${name}`))
      assert.notEqual(own, ours, `it has a ${name} namespace of its own`)
    }
    const root = readdirSync(`/proc/${pid}/root`).sort()
    assert.deepEqual(root, ['dev', 'lib', 'lib64', 'machine', 'run', 'usr'])
    assert.deepEqual(readdirSync(`/proc/${pid}/root/run`), [])
    const opened = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`))
    const files = opened.filter((path) => path.startsWith('/') && path !== '/dev/null')
    const allowed = [spec.rootfs.path, join(disks.stateDir, spec.id, 'qemu.log')]
    assert.deepEqual(
      files.filter((path) => !allowed.includes(path)),
      [],
    )
    assert.doesNotMatch(readFileSync(`/proc/${pid}/environ`, 'utf8'), /HOME|USER|TOKEN/)
  })

  test('that is killed is told as a crash', async (t) => {
    const { guest, pids } = await start(t, 'sleep 1000')
    process.kill(pids[0] ?? 0, 'SIGKILL')
    const { cause, isOutOfMemory } = await guest.ended
    assert.deepEqual({ cause, isOutOfMemory }, { cause: 'crashed', isOutOfMemory: false })
  })

  test('tells a kernel panic from a reboot that the machine did itself', async (t) => {
    const panicked = await start(t, 'echo c >/proc/sysrq-trigger')
    const end = await panicked.guest.ended
    assert.equal(end.cause, 'crashed')
    assert.match(end.detail ?? '', /^kernel panic: sysrq triggered crash/)
    const rebooted = await start(t, 'reboot -f')
    assert.deepEqual(await rebooted.guest.ended, { cause: 'shutdown', isOutOfMemory: false })
  })
})
