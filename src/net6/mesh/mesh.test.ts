/** Real WireGuard between trial hosts: wireguard-go where the kernel has none. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { pollUntil, seededRandom } from '#base'
import { hostField, meshPrefix, parseSixPn } from '../six-pn-address.ts'
import { type JoinedHost, joinedHosts, tell } from './joined-hosts.fixture.ts'
import { Mesh } from './mesh.ts'

const DEADLINE = { deadlineMs: 40_000, intervalMs: 50 }
const random = seededRandom(66)

const pings = async (from: JoinedHost, to: string, options = '') =>
  (await from.inside(`ping -c 1 -W 2 ${options} ${to} || true`)).includes(' 1 received')

const pingsHost = async (from: JoinedHost, to: string) =>
  (await from.shell(`ping -c 1 -W 2 ${to} || true`)).includes(' 1 received')

const reaches = (from: JoinedHost, to: JoinedHost) =>
  pollUntil('a ping', () => pings(from, to.machine.privateIp), DEADLINE)

/** Packets go from one to the other until `work` is done, and for a second after it: none may be lost. */
async function flowing<T>(from: JoinedHost, to: JoinedHost, work: () => Promise<T>): Promise<T> {
  const flow = `ping -i 0.01 -c 100 -W 2 ${to.machine.privateIp}`
  const losesNothing = async () => assert.match(await from.inside(flow), / 0% packet loss/)
  let isDone = false
  const pinging = async () => {
    while (!isDone) await losesNothing()
    await losesNothing()
  }
  const working = async () => {
    try {
      return await work()
    } finally {
      isDone = true
    }
  }
  const [result] = await Promise.all([working(), pinging()])
  return result
}

test('machines at two hosts reach each other, with packets of every size', async (t) => {
  const [a, b] = (await joinedHosts(t, 2)) as [JoinedHost, JoinedHost]
  await reaches(a, b)
  await reaches(b, a)
  for (const size of [1372, 1373, 4000, 20_000]) {
    // 1420 bytes with both headers is the most that passes whole: nothing in between may be lost.
    assert(
      await pings(a, b.machine.privateIp, `-M do -s ${Math.min(size, 1372)}`),
      `whole, ${size}`,
    )
    assert(await pings(b, a.machine.privateIp, `-s ${size}`), `in fragments, ${size}`)
  }
  const bytes = Buffer.from(random.bytes(3_000_000))
  const file = join(a.folder, 'sent')
  writeFileSync(file, bytes)
  await b.inside(
    `(sleep 60 | busybox nc -l -p 9000 | sha256sum >${b.folder}/sum) >/dev/null 2>&1 &`,
  )
  const listens = () => b.inside('ss -Htln sport = 9000')
  await pollUntil('a listener', async () => (await listens()) !== '', DEADLINE)
  await a.inside(`busybox nc ${b.machine.privateIp} 9000 <${file}`)
  const sum = createHash('sha256').update(bytes).digest('hex')
  const read = () => b.shell(`cat ${b.folder}/sum`)
  await pollUntil('the sum', async () => (await read()).includes(sum), DEADLINE)
  await pollUntil(
    'the backhaul',
    async () => {
      const out = await a.shell(`ping -c 1 -W 2 ${b.mesh.ownColumns.backhaul_ip} || true`)
      return out.includes(' 1 received')
    },
    DEADLINE,
  )
  await a.inside('ping -c 1 -W 1 fdaa:a7b:2::1 || true')
  await a.inside('ping -c 1 -W 1 fdaa:0:7:a7b:9:1:1:2 || true')
  const drops = [...(await a.programs.counters()).values()].map((one) => one.drops)
  assert(
    drops.some((one) => one.other_network === 1 && one.host_unknown === 1),
    JSON.stringify(drops),
  )
})

test('what comes to an address of the mesh by any other way is dropped', async (t) => {
  const [a, b] = (await joinedHosts(t, 2)) as [JoinedHost, JoinedHost]
  await reaches(b, a)
  const target = a.mesh.ownColumns.backhaul_ip
  await pollUntil('the backhaul', async () => pingsHost(b, target), DEADLINE)
  const mac = (await a.shell('cat /sys/class/net/cable2/address')).trim()
  await b.shell(
    `ip -6 route replace ${target}/128 dev cable2
     ip -6 neigh replace ${target} lladdr ${mac} dev cable2 nud permanent`,
  )
  assert.equal(await pingsHost(b, target), false)
  const counter = await a.shell('nft list counter inet godwit_net6 outside')
  assert.doesNotMatch(counter, /packets 0 /)
})

test('a host changes its key under traffic: no packet is lost, and no other peer is touched', async (t) => {
  const [a, b, c] = (await joinedHosts(t, 3)) as [JoinedHost, JoinedHost, JoinedHost]
  await reaches(a, b)
  await reaches(a, c)
  await reaches(b, c)
  const peerOf = async (host: JoinedHost, of: JoinedHost) => {
    const key = of.mesh.ownColumns.mesh_public_key
    const devices = await host.mesh.devices()
    return [...devices.values()].flatMap(({ peers }) => peers).find((one) => one.publicKey === key)
  }
  const untouched = await peerOf(a, c)
  const changeKey = async () => {
    const oldKey = b.mesh.ownColumns.mesh_public_key
    await b.mesh.rotateKey()
    assert.notEqual(b.mesh.ownColumns.mesh_public_key, oldKey)
    await assert.rejects(b.mesh.rotateKey(), { code: 'net6.host_unable' })
    await tell([a, b, c])
    await pollUntil('the new key in use, both ways', isUsed, DEADLINE)
  }
  const isUsed = async () => {
    const seen = [await peerOf(a, b), (await b.mesh.devices()).get(1)?.peers[0]]
    return seen.every((peer) => (peer?.handshakeMs ?? 0) > 0 && (peer?.receivedBytes ?? 0) > 10_000)
  }
  await flowing(a, b, () => flowing(b, a, changeKey))
  const after = await peerOf(a, c)
  assert.equal(after?.handshakeMs, untouched?.handshakeMs)
  assert((after?.receivedBytes ?? 0) >= (untouched?.receivedBytes ?? 1))
  await reaches(c, b)
})

test('50 hosts come, go and change keys while a flow runs: no packet is lost, and its peer is not touched', async (t) => {
  const [a, b] = (await joinedHosts(t, 2)) as [JoinedHost, JoinedHost]
  await reaches(a, b)
  const peerOf = async (host: JoinedHost, key: string) =>
    (await host.mesh.devices()).get(0)?.peers.find(({ publicKey }) => publicKey === key)
  const keys = [a, b].map(({ mesh }) => mesh.ownColumns.mesh_public_key) as [string, string]
  const before = [await peerOf(a, keys[1]), await peerOf(b, keys[0])]
  const own = [a, b].map(({ mesh, meshOptions }) => ({
    id: meshOptions.hostId,
    ...mesh.ownColumns,
  }))
  const rowOf = (number: number) => ({
    id: `host-${number}`,
    six_pn_prefix: meshPrefix(hostField(number), 0),
    mesh_public_key: Buffer.from(random.bytes(32)).toString('base64'),
    mesh_endpoint: `192.0.2.${number}:51820`, // nobody is there: they are peers all the same
  })
  let others = Array.from({ length: 50 }, (_, index) => rowOf(index + 10))
  await flowing(a, b, async () => {
    for (let step = 0; step < 25; step += 1) {
      const at = random.int(others.length)
      if (step % 3 === 0) others = others.filter((_, index) => index !== at)
      else if (step % 3 === 1) others = [...others, rowOf(100 + step)]
      else
        others = others.with(at, {
          ...rowOf(0),
          ...others[at],
          mesh_public_key: rowOf(0).mesh_public_key,
        })
      for (const { mesh } of [a, b]) await mesh.setRows([...own, ...others])
    }
  })
  const after = [await peerOf(a, keys[1]), await peerOf(b, keys[0])]
  const handshakes = (peers: typeof after) => peers.map((peer) => peer?.handshakeMs)
  assert.deepEqual(handshakes(after), handshakes(before))
  const wanted = others.map(({ mesh_public_key: key }) => key)
  for (const { mesh } of [a, b]) {
    const peers = (await mesh.devices()).get(0)?.peers ?? []
    assert(new Set(peers.map(({ publicKey }) => publicKey)).isSupersetOf(new Set(wanted)))
  }
})

test('traffic goes on without the daemon, and a new daemon changes nothing', async (t) => {
  const [a, b] = (await joinedHosts(t, 2)) as [JoinedHost, JoinedHost]
  await reaches(a, b)
  const rows = [a, b].map(({ mesh, meshOptions }) => ({
    id: meshOptions.hostId,
    ...mesh.ownColumns,
  }))
  await a.mesh.close()
  await b.mesh.close()
  assert(await pings(a, b.machine.privateIp))
  const before = (await a.mesh.devices()).get(0)
  const again = await Mesh.open(a.meshOptions)
  t.after(() => again.close())
  assert(await pings(a, b.machine.privateIp))
  await again.setRows(rows.filter(({ id }) => id !== 'host-1')) // not whole: its own is missing
  await again.setRows([])
  assert(await pings(a, b.machine.privateIp))
  await again.setRows(rows)
  const after = (await again.devices()).get(0)
  assert.equal(after?.peers[0]?.handshakeMs, before?.peers[0]?.handshakeMs)
  assert.equal(again.ownColumns.mesh_public_key, rows[0]?.mesh_public_key)
  await again.setRows(rows.slice(0, 1)) // the other one has left
  assert.deepEqual((await again.devices()).get(0)?.peers, [])
  assert.equal(await pings(a, b.machine.privateIp), false)
  assert.equal(parseSixPn(a.machine.privateIp).network, 7)
})

test('a wireguard-go that died is started again, with the same key and all peers', async (t) => {
  const [a, b] = (await joinedHosts(t, 2)) as [JoinedHost, JoinedHost]
  await reaches(a, b)
  const key = a.mesh.ownColumns.mesh_public_key
  await a.shell('pkill -KILL -x wireguard-go || ip link delete gwmesh0') // within its own processes
  await reaches(a, b)
  await reaches(b, a)
  assert.equal((await a.mesh.devices()).get(0)?.publicKey, key)
})
