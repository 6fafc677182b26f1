import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { type MachineId, newMachineId, pollUntil, seededRandom } from '#base'
import { networkStatus } from '../health/network-status.ts'
import { ETHERNET, ethernet, icmp6, ipv6 } from '../trial/packets.ts'
import { networkedHost } from '../trial-host.fixture.ts'
import { hostDevice, netnsName } from './link-names.ts'
import type { MachineNetworkSpec } from './machine-network.ts'
import { MachineNetworks } from './machine-networks.ts'
import { globalServicesIpv4 } from './private-ipv4.ts'
import { openTap } from './tap.fixture.ts'

const random = seededRandom(6)
const DEADLINE = { deadlineMs: 20_000 }
const INTERNET4 = '198.51.100.9'
const INTERNET6 = '2001:db8:77::9'
const HOST4 = '198.51.100.1'
const HOST6 = '2001:db8:77::1'

/** A host with machines, and a piece of internet behind it that answers pings. */
async function populated(t: TestContext) {
  const host = await networkedHost(t)
  await host.shell(`
    ip netns add internet
    ip link add out type veth peer name out netns internet
    for words in "" "-n internet"; do ip $words link set out up; done
    ip -n internet link set lo up
    ip address add ${HOST4}/24 dev out; ip address add ${HOST6}/64 dev out nodad
    ip -n internet address add ${INTERNET4}/24 dev out
    ip -n internet address add ${INTERNET6}/64 dev out nodad
    ip route add default via ${INTERNET4}; ip -6 route add default via ${INTERNET6}
    ip -n internet route add 172.19.0.0/16 via ${HOST4}
    ip -n internet route add fdaa::/16 via ${HOST6}`)
  const make = async (networkId: number, more: Partial<MachineNetworkSpec> = {}) => {
    const id = newMachineId(random)
    return await host.networks.make({ id, networkId, kind: 'container', ...more })
  }
  const inside = ({ id }: { id: MachineId }, script: string) =>
    host.shell(`ip netns exec ${netnsName(id)} sh -c '${script}'`)
  const pings = async (from: { id: MachineId }, to: string, options = '') =>
    (await inside(from, `ping -c 1 -W 5 ${options} ${to} || true`)).includes(' 1 received')
  const counters = async ({ hostDevice: device }: { hostDevice: string }) => {
    const ifindex = Number(await host.shell(`cat /sys/class/net/${device}/ifindex`))
    return (await host.programs.counters()).get(ifindex)
  }
  return { ...host, make, inside, pings, counters }
}

/** What `ip` says of the host's links, once the kernel has noticed of each what it is plugged into. */
async function settledLinks(shell: (script: string) => Promise<string>): Promise<string> {
  const settled = async () => {
    const links = await shell('ip -o link')
    return !/NO-CARRIER|LOWERLAYERDOWN|state DOWN/.test(links) && links
  }
  return await pollUntil('links with a carrier', settled, DEADLINE)
}

test('machines of one network on one host reach each other, those of another never', async (t) => {
  const { make, pings, inside, counters } = await populated(t)
  const [first, second, other] = [await make(7), await make(7), await make(8)]
  assert(await pings(first, second.privateIp))
  assert(await pings(second, first.privateIp, '-s 4000'), 'in fragments')
  assert(await pings(first, 'fdaa::3'), 'the platform')
  assert(await pings(first, first.privateIpv4.replace(/2$/, '1')), 'the IPv4 gateway')
  await inside(first, `ping -c 2 -i 0.2 -W 1 ${other.privateIp} || true`)
  await inside(first, `ping -c 1 -W 1 ${other.privateIpv4} || true`)
  const seen = await counters(first)
  assert.equal(seen?.drops.other_network, 2)
  assert.equal(seen?.drops.denied_destination, 1)
  assert.deepEqual((await counters(other))?.drops.other_network, undefined, 'it never came so far')
})

test('machines reach the internet under the addresses of the host, and are not reached unasked', async (t) => {
  const { make, pings, shell } = await populated(t)
  const machine = await make(7)
  assert(await pings(machine, INTERNET4))
  assert(await pings(machine, INTERNET6))
  const from = (to: string) => shell(`ip netns exec internet ping -c 1 -W 1 ${to} || true`)
  assert.match(await from(machine.privateIp), / 0 received/)
  assert.match(await from(machine.privateIpv4), / 0 received/)
  const unasked = await shell('nft -j list counter inet godwit_net6 unasked')
  assert.match(unasked, /"packets": ?2/)
})

test('UDP from the address of fly-global-services is the proxy’s to hand on: it never leaves by itself', async (t) => {
  const { make, inside, pings, shell } = await populated(t)
  const machine = await make(7)
  await shell(`ip netns exec internet nft 'add table inet seen;
    add chain inet seen in { type filter hook input priority 0; };
    add rule inet seen in udp dport 9 counter'`)
  const script = `const socket = require("dgram").createSocket("udp4");
    socket.bind(0, process.argv[1], () => socket.send("hello", 9, "${INTERNET4}", () => socket.close()))`
  const seen = async () =>
    Number(
      (await shell('ip netns exec internet nft list table inet seen')).match(/packets (\d+)/)?.[1],
    )
  const say = (from: string) =>
    shell(`ip netns exec ${netnsName(machine.id)} ${process.execPath} -e '${script}' ${from}`)
  const global = machine.globalServicesIpv4
  assert.equal(globalServicesIpv4(machine.privateIpv4), global)
  await say(global)
  assert(!(await pings(machine, INTERNET4, `-I ${global}`)))
  const counter = await shell('nft list counter inet godwit_net6 answers')
  assert.match(counter, /packets [2-9]/)
  assert.equal(await seen(), 0)
  await say(machine.privateIpv4)
  await pollUntil('its own UDP', async () => (await seen()) === 1, DEADLINE)
  await inside(machine, `ping -c 1 -W 5 ${INTERNET4}`)
})

test('the host reaches a service of a machine, and the machine no service of the host', async (t) => {
  const { make, inside, shell, counters } = await populated(t)
  const machine = await make(7)
  const serve = 'busybox nc -ll -p 8080 -e echo hello >/dev/null 2>&1 &'
  await inside(machine, serve)
  await shell(serve)
  for (const address of [machine.privateIpv4, machine.privateIp]) {
    const ask = () => shell(`busybox nc -w 3 ${address} 8080 </dev/null || true`)
    await pollUntil(
      `an answer of ${address}`,
      async () => (await ask()).includes('hello'),
      DEADLINE,
    )
  }
  const gateway = machine.privateIpv4.replace(/2$/, '1')
  for (const address of [gateway, HOST4, machine.privateIp.replace(/2$/, '1'), HOST6, 'fdaa::3']) {
    const answer = await inside(machine, `busybox nc -w 1 ${address} 8080 </dev/null || true`)
    assert.equal(answer, '', address)
  }
  assert(((await counters(machine))?.drops.host_service ?? 0) >= 5)
})

test('making a network twice changes nothing, and a daemon that was killed finds it as it was', async (t) => {
  const { make, options, networks, pings, counters, shell } = await populated(t)
  const [first, second] = [await make(7, { receiveBytesPerS: 1_000_000 }), await make(7)]
  assert(await pings(first, second.privateIp))
  const spec = { id: first.id, networkId: 7, kind: 'container' } as const
  const links = await settledLinks(shell)
  assert.deepEqual(await networks.make({ ...spec, receiveBytesPerS: 1_000_000 }), first)
  const reopened = await MachineNetworks.open(options)
  assert.deepEqual(await reopened.make({ ...spec, receiveBytesPerS: 1_000_000 }), first)
  assert.equal(await shell('ip -o link'), links)
  assert.match(await shell(`tc qdisc show dev ${first.hostDevice}`), /tbf .*rate 8Mbit/)
  assert(((await counters(first))?.inPackets ?? 0) >= 1, 'counters go on')
  assert(await pings(first, second.privateIp))
  const listed = await reopened.list()
  assert.deepEqual(new Set(listed.map(({ id }) => id)), new Set([first.id, second.id]))
  assert(listed.every(({ isUp }) => isUp))
  await assert.rejects(reopened.make({ ...spec, networkId: 8 }), { code: 'net6.machine_differs' })
})

test('a link that is gone comes back with the same addresses', async (t) => {
  const { make, networks, inside, pings, shell } = await populated(t)
  const [first, second] = [await make(7), await make(7)]
  await inside(first, 'ip link delete eth0')
  const isUp = async () => (await networks.list()).find(({ id }) => id === first.id)?.isUp
  await pollUntil('the end of the link', async () => (await isUp()) === false, DEADLINE)
  const spec = { id: first.id, networkId: 7, kind: 'container' } as const
  const again = await networks.make(spec)
  assert.deepEqual(again, first)
  assert(await pings(second, first.privateIp))
  await shell(`ip netns delete ${netnsName(first.id)}`)
  assert.deepEqual(await networks.make(spec), first)
})

test('a link that was taken down comes back with the same addresses, under the host number of that time', async (t) => {
  const { make, options, networks, shell } = await populated(t)
  const first = await make(7)
  await networks.takeDown(first.id)
  await networks.takeDown(first.id)
  assert.equal(await shell(`ip -o link | grep -c ${first.hostDevice} || true`), '0\n')
  assert.deepEqual(
    (await networks.list()).map(({ isUp }) => isUp),
    [false],
  )
  const status = await networkStatus({ system: options.system, folder: options.folder })
  assert.deepEqual(status.machines, [], 'nothing of it is to be there')
  const spec = { id: first.id, networkId: 7, kind: 'container' } as const
  assert.deepEqual(await networks.make(spec), first)
  const moved = await MachineNetworks.open({ ...options, host: options.host + 1 })
  assert.deepEqual(await moved.make(spec), first, 'what stands stays')
  await moved.takeDown(first.id)
  assert.equal((await moved.make(spec)).privateIp, first.privateIp.replace(':a7b:1:', ':a7b:2:'))
})

test('a policy is kept to between two machines, over restarts, until the next start has another one', async (t) => {
  const { make, networks, options, inside, pings, counters, programs, shell } = await populated(t)
  const policies = async () => {
    const rows = await shell(`bpftool -j map dump pinned ${programs.mapPath('policies')}`)
    return (JSON.parse(rows) as unknown[]).length
  }
  const client = await make(7)
  const policy = { ingress: [{ protocol: 'tcp', port: 8080 }] } as const
  const server = await make(7, { policy })
  const spec = { id: server.id, networkId: 7, kind: 'container' } as const
  for (const port of [8080, 8081]) {
    await inside(server, `busybox nc -ll -p ${port} -e echo hello >/dev/null 2>&1 &`)
  }
  const ask = (port: number) =>
    inside(client, `busybox nc -w 1 ${server.privateIp} ${port} </dev/null || true`)
  await pollUntil('an answer', async () => (await ask(8080)).includes('hello'), DEADLINE)
  assert.equal(await ask(8081), '')
  assert(((await counters(server))?.drops.ingress_policy ?? 0) > 0)
  assert(!(await pings(client, server.privateIp, '-W 1')))
  assert(await pings(server, client.privateIp), 'what it asks for itself is answered')
  assert(await pings(server, INTERNET4))
  const fromHost = () => shell(`busybox nc -w 3 ${server.privateIp} 8081 </dev/null || true`)
  await pollUntil('the host', async () => (await fromHost()).includes('hello'), DEADLINE)
  const reopened = await MachineNetworks.open(options)
  await reopened.make(spec)
  assert.equal(await ask(8081), '', 'a make that knows of none keeps what there was')
  await networks.takeDown(server.id)
  assert.equal(await policies(), 0)
  await networks.make(spec)
  assert.equal(await policies(), 1)
  assert(!(await pings(client, server.privateIp, '-W 1')))
  await networks.make({ ...spec, policy: {} })
  assert(await pings(client, server.privateIp))
  assert.equal(await policies(), 0)
})

test('a removed network leaves nothing, however much of it there was', async (t) => {
  const { make, networks, options, shell, programs, folder } = await populated(t)
  // By name: what stands beside them may still come up.
  const there = () => shell('ip -o link | cut -d: -f2; ls /run/netns')
  const before = await there()
  const countedBefore = (await programs.counters()).size
  const network = await make(7)
  const policy = { egress: [] }
  await make(7, { kind: 'vm', policy }).then(({ id }) => networks.remove(id))
  await networks.remove(network.id)
  await networks.remove(network.id)
  const gone = async () => (await there()) === before
  await pollUntil('the end of both links', gone, DEADLINE)
  assert.equal((await programs.counters()).size, countedBefore)
  assert.deepEqual(readdirSync(join(folder, 'machines')), [])
  assert.deepEqual(await networks.list(), [])
  for (const map of ['policies', 'flows'] as const) {
    assert.equal(await shell(`bpftool -j map dump pinned ${programs.mapPath(map)}`), '[]\n')
  }
  const half = newMachineId(random)
  await shell(
    `ip netns add ${netnsName(half)}; ip link add ${hostDevice(half)} type veth peer name x`,
  )
  const reopened = await MachineNetworks.open(options)
  assert.deepEqual(await reopened.listStrays(), [half])
  await reopened.remove(half)
  assert.deepEqual(await reopened.listStrays(), [])
})

test("a virtual machine's frames pass its tap, under the same rules", async (t) => {
  const { make, networks, pings, counters, system } = await populated(t)
  const near = await make(7)
  const machine = await make(7, { kind: 'vm' })
  const mac = machine.guest.mac
  const tap = await openTap(t, system, machine.guest)
  const link = { from: mac, to: '02:67:77:00:00:01' }
  const ping = (from: string) =>
    ethernet(
      link,
      ETHERNET.ipv6,
      ipv6({ from, to: near.privateIp }, icmp6(128, Buffer.from('ping!!!!'))),
    )
  tap.send(ping(near.privateIp)) // another's address
  tap.send(ping(machine.privateIp))
  const answer = await pollUntil(
    'the echo',
    () => tap.frames.find((frame) => frame.includes('ping!!!!')),
    DEADLINE,
  )
  assert.equal(answer[54], 129, 'an echo reply')
  assert.equal((await counters(machine))?.drops.source_spoofed, 1)
  assert(await pings(near, 'fdaa::3'))
  await networks.make({ id: machine.id, networkId: 7, kind: 'vm', policy: { egress: [] } })
  tap.send(ping(machine.privateIp))
  const drops = async () => (await counters(machine))?.drops.egress_policy
  await pollUntil('the ping to be dropped', async () => (await drops()) === 1, DEADLINE)
})
