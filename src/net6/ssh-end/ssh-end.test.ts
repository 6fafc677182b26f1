/** Port 22 of machines, asked from all sides, on hosts with a real mesh and a real gateway between them. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { pollUntil } from '#base'
import { PeerGateway } from '../gateway/peer-gateway.ts'
import { person } from '../gateway/person.fixture.ts'
import { openHostNetwork, removeHostNetwork } from '../host-network.ts'
import { netnsName } from '../machine/link-names.ts'
import { type JoinedHost, joinedHosts } from '../mesh/joined-hosts.fixture.ts'
import { peerAddress } from '../six-pn-address.ts'
import { networkedHost, type TrialHost } from '../trial-host.fixture.ts'

const DEADLINE = { deadlineMs: 40_000, intervalMs: 50 }
const PORT = 51_831
const NODE = `${process.execPath} --disable-warning=ExperimentalWarning`

/** Tells each client both addresses, as the host sees them. */
const SERVE = `
import { listenForSsh } from '${new URL('./ssh-listener.ts', import.meta.url).href}'
await listenForSsh((socket) => {
  socket.on('error', () => undefined)
  socket.end(\`host \${socket.localAddress} \${socket.remoteAddress}\`)
})
`

async function serve(host: TrialHost): Promise<void> {
  const path = join(host.folder, 'serve.mjs')
  writeFileSync(path, SERVE)
  await host.shell(`${NODE} ${path} </dev/null >/dev/null 2>${path}.log &`)
}

const ask = (address: string, port = 22, waitS = 5) =>
  `busybox nc -w ${waitS} ${address} ${port} </dev/null || true`
/** Nothing is to come. */
const askInVain = (address: string) => ask(address, 22, 1)

test('port 22 of a machine is its host’s, for its network alone, whoever asks from wherever', async (t) => {
  const [a, b] = (await joinedHosts(t, 2)) as [JoinedHost, JoinedHost]
  for (const host of [a, b]) await serve(host)
  const { system, programs, folder, host } = a.options
  const gateway = await PeerGateway.open({ system, programs, folder, host, port: PORT })
  const [bird, fish] = [await person(t, a, 1), await person(t, a, 2)]
  const [birdIp, fishIp] = [peerAddress(7, host, 0), peerAddress(8, host, 0)]
  const row = (key: string, networkId: number, peerIp: string) => ({
    ...{ public_key: key, network_id: networkId, peer_ip: peerIp, created_at: 1 },
  })
  await gateway.setPeers([row(bird.key.publicKey, 7, birdIp), row(fish.key.publicKey, 8, fishIp)])
  await bird.joins(birdIp, gateway.publicKey, `192.0.2.1:${PORT}`)
  await fish.joins(fishIp, gateway.publicKey, `192.0.2.2:${PORT}`)
  const beside = await a.networks.make({
    id: a.machine.id.replace(/.$/, '0') as never,
    networkId: 7,
    kind: 'container',
  })
  const inBeside = (script: string) =>
    a.shell(`ip netns exec ${netnsName(beside.id)} sh -c '${script}'`)

  const sides: readonly (readonly [from: string, script: (line: string) => Promise<string>])[] = [
    [b.machine.privateIp, b.inside],
    [beside.privateIp, inBeside],
    [birdIp, bird.shell],
  ]
  for (const [from, run] of sides) {
    for (const { privateIp } of [a.machine, b.machine].filter((one) => one.privateIp !== from)) {
      const expected = `host ${privateIp} ${from}`
      const isAnswered = async () => (await run(ask(privateIp))) === expected
      await pollUntil(expected, isAnswered, DEADLINE)
    }
  }

  // The machine's own port 22 is asked at no address but that one, and other ports are its own.
  await a.inside('busybox nc -ll -p 22 -e echo machine >/dev/null 2>&1 &')
  await a.inside('busybox nc -ll -p 23 -e echo machine >/dev/null 2>&1 &')
  const { privateIp, privateIpv4 } = a.machine
  const second = privateIp.replace(/2$/, '7')
  await a.inside(`ip address add ${second}/112 dev eth0 nodad`)
  const isMachine = (run: (line: string) => Promise<string>, address: string, port: number) =>
    pollUntil(
      `${address} ${port}`,
      async () => (await run(ask(address, port))) === 'machine\n',
      DEADLINE,
    )
  await isMachine(bird.shell, privateIp, 23)
  await isMachine(bird.shell, second, 22)
  await isMachine(a.shell, privateIpv4, 22)
  await isMachine(a.shell, privateIp, 22)
  assert.equal(await bird.shell(ask(privateIp)), `host ${privateIp} ${birdIp}`)

  // Another network sees nothing of it, however it asks.
  await fish.shell(
    'wg set wg0 peer "$(wg show wg0 peers)" allowed-ips fdaa::/16; ip route replace fdaa::/16 dev wg0',
  )
  assert.equal(await fish.shell(askInVain(privateIp)), '')
  assert.equal(await fish.shell(askInVain(b.machine.privateIp)), '')

  // A machine that is gone has no port 22, and what stands is found again.
  await a.networks.takeDown(beside.id)
  assert.equal(await b.inside(askInVain(beside.privateIp)), '')
  const index = () => a.shell('cat /sys/class/net/gwssh0/ifindex')
  const before = await index()
  await Promise.all([openHostNetwork(a.options), openHostNetwork(a.options)])
  assert.equal(await index(), before)
  assert.equal(await bird.shell(ask(privateIp)), `host ${privateIp} ${birdIp}`)
})

test('the host’s end of port 22 says nothing but answers, and goes without a trace', async (t) => {
  const host = await networkedHost(t)
  const inside = (script: string) => host.shell(`ip netns exec godwit-ssh sh -c '${script}'`)
  const machine = await host.networks.make({
    id: '0123456789abcd' as never,
    networkId: 7,
    kind: 'container',
  })
  await inside(`ping -c 1 -W 1 ${machine.privateIp} || true`)
  await inside(ask(machine.privateIp, 80, 1))
  const ifindex = Number(await host.shell('cat /sys/class/net/gwssh0/ifindex'))
  const drops = (await host.programs.counters()).get(ifindex)?.drops
  assert.ok((drops?.host_service ?? 0) >= 1, JSON.stringify(drops))
  assert.ok((drops?.source_spoofed ?? 0) >= 1, JSON.stringify(drops))
  await host.networks.remove(machine.id)
  for (let times = 0; times < 2; times += 1) await removeHostNetwork({ system: host.system })
  assert.equal(await host.shell('ip -o link show | grep -v " lo:" || true'), '')
  assert.equal(await host.shell('ls /run/netns'), '')
})
