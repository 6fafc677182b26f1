import assert from 'node:assert/strict'
import { appendFileSync, copyFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { newMachineId, seededRandom } from '#base'
import { openHostNetwork, removeHostNetwork, setFlycast } from './host-network.ts'
import { netnsName } from './machine/link-names.ts'
import { MachineNetworks } from './machine/machine-networks.ts'
import { PROGRAMS_OBJECT, Programs } from './programs/programs.ts'
import { networkedHost, TRIAL_HOST, trialHost } from './trial-host.fixture.ts'

const TRACES = `
  nft list tables; ls /sys/fs/bpf; ip -o address show dev lo
  ip route show table all; ip -6 route show table all`

test('what a host got for its network is gone when the network is removed', async (t) => {
  const { system, shell } = await trialHost(t)
  const before = await shell(TRACES)
  await openHostNetwork({ system, host: TRIAL_HOST })
  assert.notEqual(await shell(TRACES), before)
  await removeHostNetwork({ system })
  await removeHostNetwork({ system })
  assert.equal(await shell(TRACES), before)
  assert.equal(await Programs.find({ system }), undefined)
})

test('opening again touches no machine, and a newer build takes over with the same counters', async (t) => {
  const { system, options, networks, folder, shell } = await networkedHost(t)
  const random = seededRandom(8)
  const specs = [0, 1].map(() => ({
    id: newMachineId(random),
    networkId: 7,
    kind: 'container' as const,
  }))
  const [a, b] = [await networks.make(specs[0] as never), await networks.make(specs[1] as never)]
  const pings = async () =>
    (
      await shell(`ip netns exec ${netnsName(a.id)} ping -c 1 -W 5 ${b.privateIp} || true`)
    ).includes(' 1 received')
  assert(await pings())
  const ifindex = Number(await shell(`cat /sys/class/net/${a.hostDevice}/ifindex`))
  const sent = async (programs: Programs) =>
    (await programs.counters()).get(ifindex)?.inPackets ?? 0
  const before = await sent(options.programs)
  const object = join(folder, 'newer.o')
  copyFileSync(PROGRAMS_OBJECT, object)
  appendFileSync(object, 'newer') // another build, as far as anyone can tell
  const newer = await openHostNetwork({ system, host: TRIAL_HOST, object })
  assert(await pings(), 'the old build goes on without a name')
  const reopened = await MachineNetworks.open({ ...options, programs: newer })
  for (const spec of specs) await reopened.make(spec)
  assert(await pings())
  assert((await sent(newer)) > before, 'counters go on')
  const builds = (await shell('ls /sys/fs/bpf/godwit-net6-*')).trim().split('\n')
  assert.equal(builds.length, 2, 'the maps and one build')
})

test('flycast is reached by its own network, while somebody has it', async (t) => {
  const { system, programs, networks, shell } = await networkedHost(t)
  const random = seededRandom(9)
  const machine = await networks.make({ id: newMachineId(random), networkId: 7, kind: 'container' })
  const pings = async (to: string) =>
    (await shell(`ip netns exec ${netnsName(machine.id)} ping -c 1 -W 2 ${to} || true`)).includes(
      ' 1 received',
    )
  await setFlycast(system, programs, ['fdaa:0:7:0:1::5', 'fdaa:0:8:0:1::6'])
  assert(await pings('fdaa:0:7:0:1::5'))
  assert.equal(await pings('fdaa:0:8:0:1::6'), false, "another network's")
  await setFlycast(system, programs, ['fdaa:0:7:0:1::7'])
  assert(await pings('fdaa:0:7:0:1::7'))
  assert.equal(await pings('fdaa:0:7:0:1::5'), false, 'given back')
})
