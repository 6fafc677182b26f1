/** Real WireGuard between people's computers and a gateway, and a mesh behind it. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { pollUntil } from '#base'
import { type JoinedHost, joinedHosts } from '../mesh/joined-hosts.fixture.ts'
import { peerAddress } from '../six-pn-address.ts'
import { PeerGateway } from './peer-gateway.ts'
import { type Person, person, platformOf } from './person.fixture.ts'

const DEADLINE = { deadlineMs: 40_000, intervalMs: 50 }
const PORT = 51_830
/** Of the machines of joinedHosts. */
const NETWORK = 7

const row = ({ key }: Person, peerIp: string, networkId = NETWORK) => ({
  ...{ public_key: key.publicKey, network_id: networkId, peer_ip: peerIp, created_at: 1 },
})

const drops = async ({ programs }: JoinedHost) =>
  [...(await programs.counters()).values()].map((one) => one.drops)

async function gatewayOf(t: TestContext) {
  const [a, b] = (await joinedHosts(t, 2)) as [JoinedHost, JoinedHost]
  const { system, programs, folder, host } = a.options
  const options = { system, programs, folder, host, port: PORT }
  const gateway = await PeerGateway.open(options)
  const address = (slot: number, network = NETWORK) => peerAddress(network, host, slot)
  return { a, b, gateway, options, address }
}

const reaches = (from: Person, to: string, options?: string) =>
  pollUntil(`a ping of ${to}`, () => from.pings(to, options), DEADLINE)

test("a person's computer is in its network, wherever machines are, and in no other", async (t) => {
  const { a, b, gateway, options, address } = await gatewayOf(t)
  const [bird, fish] = [await person(t, a, 1), await person(t, a, 2)]
  const [birdIp, fishIp] = [address(0), address(0, 8)]
  await gateway.setPeers([row(bird, birdIp), row(fish, fishIp, 8)])
  await bird.joins(birdIp, gateway.publicKey, `192.0.2.1:${PORT}`)
  await fish.joins(fishIp, gateway.publicKey, `192.0.2.2:${PORT}`)

  await reaches(bird, a.machine.privateIp)
  await reaches(bird, b.machine.privateIp)
  for (const host of [a, b]) {
    assert.match(await host.inside(`ping -c 1 -W 3 ${birdIp} || true`), / 1 received/)
    assert(await bird.pings(host.machine.privateIp, '-M do -s 1372'), 'whole')
    assert(await bird.pings(host.machine.privateIp, '-s 4000'), 'in fragments')
  }
  await reaches(bird, platformOf(birdIp))
  await reaches(fish, platformOf(fishIp))
  assert.match(await b.inside(`ping -c 1 -W 3 ${platformOf(birdIp)} || true`), / 1 received/)

  // As a hostile one: every address is asked for by the way of WireGuard.
  await fish.shell(
    'wg set wg0 peer "$(wg show wg0 peers)" allowed-ips fdaa::/16; ip route replace fdaa::/16 dev wg0',
  )
  const foreign = [a.machine.privateIp, b.machine.privateIp, birdIp, platformOf(birdIp), 'fdaa::3']
  const reached = await Promise.all(
    [...foreign, 'fdaa:a7b:2::1'].map(async (to) => ((await fish.pings(to, '-W 1')) ? [to] : [])),
  )
  assert.deepEqual(reached.flat(), [])
  const [first] = (await drops(a)).filter((one) => (one.other_network ?? 0) >= 6)
  assert(first !== undefined, JSON.stringify(await drops(a)))
  // WireGuard lets it speak for itself alone: its whole /120, and nobody else's.
  await fish.shell(
    `ip address add ${address(0, 8).replace(/2$/, 'ff')}/128 dev wg0 nodad; ip address add ${address(1, 8)}/128 dev wg0 nodad`,
  )
  await reaches(fish, platformOf(fishIp), `-I ${address(0, 8).replace(/2$/, 'ff')}`)
  assert.equal(await fish.pings(platformOf(fishIp), `-W 1 -I ${address(1, 8)}`), false)
  assert.equal(await fish.pings('198.51.100.2', '-W 1 -I wg0'), false)

  // A gateway that starts again finds all of it, and a removed peer is cut off.
  const again = await PeerGateway.open(options)
  assert.equal(again.publicKey, gateway.publicKey)
  assert(await bird.pings(b.machine.privateIp))
  await again.setPeers([row(fish, fishIp, 8)])
  assert.equal(await bird.pings(b.machine.privateIp, '-W 1'), false)
  assert.equal((await again.links())?.peers.length, 1)
  assert.doesNotMatch(await a.shell('ip -6 route'), /fdaa:0:7:\S+ dev gwpeer0/)
  assert.match(await b.inside(`ping -c 1 -W 1 ${birdIp} || true`), / 0 received/)
  // By itself its WireGuard would notice after 15 s that the gateway has forgotten their session.
  const connectsAgain = async () => {
    await bird.shell('ip link delete wg0')
    await bird.joins(birdIp, gateway.publicKey, `192.0.2.1:${PORT}`)
    await reaches(bird, b.machine.privateIp)
  }
  await again.setPeers([row(bird, birdIp), row(fish, fishIp, 8)])
  await connectsAgain()
  await a.shell('ip link delete gwpeer0') // as after a reboot
  await again.setPeers([row(bird, birdIp), row(fish, fishIp, 8)])
  await connectsAgain()
})

test('TCP and UDP at the address of a network reach what listens at fdaa::4', async (t) => {
  const { a, b, gateway, address } = await gatewayOf(t)
  const bird = await person(t, a, 1)
  await gateway.setPeers([row(bird, address(3))])
  await bird.joins(address(3), gateway.publicKey, `192.0.2.1:${PORT}`)
  const script = (name: string, text: string) => {
    const path = join(a.folder, name)
    writeFileSync(path, text)
    return `${process.execPath} ${path}`
  }
  const serve = script('serve.mjs', SERVE)
  const ask = `${script('ask.mjs', ASK)} ${platformOf(address(3))}`
  for (const { shell } of [a, b]) await shell(`${serve} >/dev/null 2>&1 </dev/null &`)
  await reaches(bird, platformOf(address(3)))
  const seen = { tcp: '', udp: '' }
  await pollUntil(
    'answers',
    async () => {
      Object.assign(seen, JSON.parse(await bird.shell(ask)))
      return seen.tcp !== '' && seen.udp !== ''
    },
    DEADLINE,
  )
  assert.deepEqual(seen, { tcp: address(3), udp: address(3) })
  const { privateIp } = b.machine
  const isAnswered = async () => {
    const inside = JSON.parse(await b.inside(ask))
    return inside.tcp === privateIp && inside.udp === privateIp
  }
  await pollUntil('answers to a machine', isAnswered, DEADLINE)
})

/** Tells each client the address that it is seen with. */
const SERVE = `
import { createServer } from 'node:net'
import { createSocket } from 'node:dgram'
createServer((socket) => socket.end(socket.remoteAddress)).listen(4280, 'fdaa::4')
const udp = createSocket('udp6')
udp.on('message', (_, { address, port }) => udp.send(address, port, address))
udp.bind(53, 'fdaa::4')
`

const ASK = `
import { connect } from 'node:net'
import { createSocket } from 'node:dgram'
const [, , host] = process.argv
const seen = { tcp: '', udp: '' }
const end = () => { console.log(JSON.stringify(seen)); process.exit() }
setTimeout(end, 5000)
const check = () => { if (seen.tcp && seen.udp) end() }
connect(4280, host).on('data', (text) => { seen.tcp += text; check() }).on('error', end)
const udp = createSocket('udp6')
udp.on('message', (text) => { seen.udp = String(text); check() })
udp.send('x', 53, host)
`
