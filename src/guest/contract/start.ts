import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connectAgent } from '../agent/agent.ts'
import { withDevices } from '../guest-devices.ts'
import type { Bench } from './bench.ts'
import { outcome } from './outcome.ts'
import { scriptConfig } from './script-config.ts'
import { boot, run } from './trial-machine.ts'

/** A machine boots as it was asked to, or not at all. */
export function testStart(bench: Bench): void {
  test('a machine runs its command as its configuration says', async (t) => {
    const script = 'echo "$GREETING $(id -u):$(id -g) $(pwd) $(hostname) $(cat /proc/1/comm)"'
    const { agent, spec } = await run(t, bench, script, {
      config: {
        env: { PATH: '/bin', GREETING: 'hello' },
        user: { uid: 1000, gid: 1000 },
        cwd: '/home/app',
      },
    })
    const { stdout, ending } = await outcome(agent)
    const init = bench.subject.isVirtual ? 'init' : 'godwit-init'
    assert.equal(stdout, `hello 1000:1000 /home/app ${spec.id} ${init}\n`)
    assert.deepEqual(ending, { kind: 'exited', code: 0 })
  })

  test('two machines of one id cannot be; after the first is removed there is nothing left of it', async (t) => {
    const { spec, guest } = await boot(t, bench)
    await assert.rejects(bench.runtime().boot(spec), { code: 'guest.exists' })
    assert.deepEqual(await bench.runtime().list(), [{ id: spec.id, state: 'running' }])
    await bench.runtime().remove(spec.id)
    assert.equal((await guest.ended).cause, 'killed')
    assert.deepEqual(await bench.runtime().list(), [])
    await bench.runtime().remove(spec.id)
    assert.equal(await bench.runtime().adopt(spec.id), undefined)
  })

  test('a boot that fails says why and leaves nothing', async () => {
    const spec = bench.disks().spec({ rootfs: { serial: 'root', path: '/nonexistent/disk' } })
    await assert.rejects(bench.runtime().boot(spec), { code: 'guest.spec_bad' })
    assert.deepEqual(await bench.runtime().list(), [])
  })

  test('volumes and what was written to the root are there at the next boot', async (t) => {
    const volume = bench.disks().volume()
    const mount = { path: '/data', type: 'ext4', owner: { uid: 1000, gid: 1000 } } as const
    const spec = bench.disks().spec({ disks: [{ serial: 'vol1', path: volume, mount }] })
    t.after(() => bench.runtime().remove(spec.id))
    const once = async (script: string) => {
      using guest = await bench.runtime().boot(spec)
      const agent = await connectAgent(await guest.openChannel())
      const volumes = [{ device: 'vol1', ...mount }]
      await agent.configure(withDevices(guest, scriptConfig(spec, script, { volumes })))
      await agent.start()
      const { stdout } = await outcome(agent)
      await agent.shutdown()
      assert.equal((await guest.ended).cause, 'shutdown')
      await bench.runtime().remove(spec.id)
      return stdout
    }
    await once('echo kept > /data/file; echo too > /root/file')
    assert.equal(await once('cat /data/file /root/file; stat -c %u /data'), 'kept\ntoo\n1000\n')
  })

  test('a disk that may only be read cannot be written', async (t) => {
    const { path } = bench.disks().spec().rootfs
    const { agent } = await run(t, bench, 'echo no > /root/file || echo refused', {
      rootfs: { serial: 'root', path, readOnly: true },
      config: { root: { device: 'root', type: 'ext4', readOnly: true } },
    })
    assert.equal((await outcome(agent)).stdout, 'refused\n')
  })
}
