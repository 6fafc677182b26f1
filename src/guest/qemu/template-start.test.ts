import assert from 'node:assert/strict'
import { readdirSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { connectAgent } from '../agent/agent.ts'
import type { GuestConfig } from '../agent/machine-config.ts'
import { scriptConfig } from '../contract/script-config.ts'
import { TrialDisks } from '../contract/trial-disks.ts'
import { TrialNetwork } from '../contract/trial-network.ts'
import type { GuestSpec } from '../guest-spec.ts'
import { QemuRuntime } from './qemu-runtime.ts'

/** A line for each thing that a program in the machine can see. */
const LOOK = `
say() { echo "$1=$(shift; "$@" 2>&1 | tr '\\n' ' ')"; }
say kernel uname -a
say cmdline cat /proc/cmdline
say mounts cat /proc/mounts
say blocks ls /sys/block
say serials cat /sys/block/vda/serial /sys/block/vdb/serial
say links ls /sys/class/net
say modules cat /proc/modules
say folders ls / /dev /run /tmp
say user id
say environment env
say processes sh -c 'for p in /proc/[0-9]*; do readlink $p/exe; done | sort -u'
say bootId cat /proc/sys/kernel/random/boot_id
say random sh -c 'head -c 16 /dev/urandom | od -An -tx1'
say hostname hostname
say seconds date +%s
say size cat /sys/block/vdb/size
say content cat /data/name
say mac cat /sys/class/net/eth0/address
say mtu cat /sys/class/net/eth0/mtu
say route ip -o addr show eth0
`
/** The entrypoint writes it. */
const WAIT = 'while [ ! -s /data/name ]; do sleep 0.05; done'
const VOLUME = { path: '/data', type: 'ext4' } as const
/** What each machine must have for its own. */
const OWN = [
  'bootId',
  'random',
  'hostname',
  'seconds',
  'size',
  'content',
  'mac',
  'route',
  'modules',
]

type Seen = Readonly<Record<string, string>>

describe('a machine that starts from a template', () => {
  let disks: TrialDisks
  let runtime: QemuRuntime
  before(() => {
    disks = new TrialDisks()
    const cacheDir = join(disks.folder, 'cache')
    runtime = new QemuRuntime({ stateDir: disks.stateDir, cacheDir })
  })
  after(async () => {
    for (const { id } of await runtime.list()) await runtime.remove(id)
    disks.remove()
  })

  /** Boots a machine with a volume and a network of its own, and looks around in it. */
  async function lookAround(
    mac: string,
    volumeMib: number,
  ): Promise<{ spec: GuestSpec; seen: Seen }> {
    using network = new TrialNetwork(true)
    const volume = disks.volume(volumeMib)
    const spec = disks.spec({
      disks: [{ serial: 'vol1', path: volume, mount: VOLUME }],
      network: { ...network.spec, mac },
    })
    const config: Partial<GuestConfig> = {
      ...network.config,
      volumes: [{ device: 'vol1', ...VOLUME }],
    }
    try {
      using guest = await runtime.boot(spec)
      const agent = await connectAgent(await guest.openChannel())
      const prepare = `echo volume-of-${spec.id} >/data/name; sleep 1000`
      await agent.configure(scriptConfig(spec, prepare, config))
      await agent.start()
      const look = await agent.exec({ argv: ['/bin/sh', '-c', `${WAIT}\n${LOOK}`] })
      look.stderr.resume()
      const lines = (await text(look.stdout)).trim().split('\n')
      agent.close()
      return { spec, seen: Object.fromEntries(lines.map(splitLine)) }
    } finally {
      await runtime.remove(spec.id)
    }
  }

  function splitLine(line: string): [string, string] {
    const at = line.indexOf('=')
    return [line.slice(0, at), line.slice(at + 1).trim()]
  }

  function assertOwn({ spec, seen }: { spec: GuestSpec; seen: Seen }, volumeMib: number): void {
    assert.equal(seen['hostname'], spec.id)
    assert.equal(seen['content'], `volume-of-${spec.id}`)
    assert.equal(Number(seen['size']) * 512, volumeMib * 2 ** 20)
    assert.equal(seen['mac'], spec.network?.mac)
    assert.match(seen['route'] ?? '', /10\.77\.0\.2\/24/)
    const secondsOff = Math.abs(Number(seen['seconds']) - Date.now() / 1000)
    assert.ok(secondsOff < 60, `its clock is off by ${secondsOff} s`)
  }

  test('looks to its programs like one that booted, and shares nothing of its own with another', async () => {
    const cold = await lookAround('02:00:00:00:00:0a', 16)
    assert.deepEqual(runtime.starts, { cold: 1, template: 0 })
    const one = await lookAround('02:00:00:00:00:0b', 24)
    const other = await lookAround('02:00:00:00:00:0c', 12)
    assert.deepEqual(runtime.starts, { cold: 1, template: 2 })
    assertOwn(cold, 16)
    assertOwn(one, 24)
    assertOwn(other, 12)
    const shared = ({ seen }: { seen: Seen }) =>
      Object.fromEntries(Object.entries(seen).filter(([key]) => !OWN.includes(key)))
    const general = (text: Seen) =>
      JSON.parse(JSON.stringify(text).replaceAll(/[\da-f]{14}/g, 'MACHINE')) as Seen
    assert.deepEqual(general(shared(one)), general(shared(cold)))
    assert.deepEqual(general(shared(other)), general(shared(cold)))
    for (const key of ['bootId', 'random']) {
      const values = [cold, one, other].map(({ seen }) => seen[key])
      assert.equal(new Set(values).size, 3, `${key} is not of each machine's own`)
    }
  })

  test('boots when the template is broken, which another replaces', async () => {
    const before = runtime.starts
    const folder = join(disks.folder, 'cache/templates')
    const [name = ''] = readdirSync(folder)
    truncateSync(join(folder, name), 1 << 20)
    assertOwn(await lookAround('02:00:00:00:00:0d', 16), 16)
    assert.deepEqual(runtime.starts, { cold: before.cold + 1, template: before.template })
    assertOwn(await lookAround('02:00:00:00:00:0e', 16), 16)
    assert.equal(runtime.starts.template, before.template + 1)
  })
})
