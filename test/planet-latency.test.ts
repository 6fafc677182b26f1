import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import test from 'node:test'
import { reachableHosts, worldStatus } from '#planet'
import { Prober, startWhoami, testPlanet } from './planet-world.ts'

test('on a planet with latency', async (t) => {
  const world = await testPlanet(t, 'latency', {})
  const rttMs = async (from: string, to: string) => {
    const said = await world.node(from).run('ping', ['-c', '5', '-i', '0.2', '-q', to])
    return Number(/= ([\d.]+)\//.exec(said)?.[1])
  }
  const cableMs = (...links: string[]) =>
    world.plan.links
      .filter(({ name }) => links.includes(name))
      .reduce((sum, { delayUs }) => sum + (2 * delayUs) / 1000, 0)

  await t.test(
    'a packet takes no less than the cables on its way, over IPv4 and IPv6',
    async () => {
      const host = world.node('ams-1').plan
      for (const address of [host.ipv4, host.ipv6]) {
        const iad = await rttMs('iad-client', address)
        assert(iad >= cableMs('ams--iad'), `iad ${iad}`)
        const syd = await rttMs('syd-client', address)
        assert(syd >= cableMs('sin--syd-client', 'sin--ams'), `syd ${syd}`)
        const near = await rttMs('ams-client', address)
        assert(near < iad && iad < syd, `${near} < ${iad} < ${syd}`)
      }
    },
  )

  await t.test('a link that is stretched takes longer, and says what it carried', async () => {
    const host = world.node('ams-1').plan.ipv4
    await world.stretch('ams', 'iad', 120)
    assert((await rttMs('iad-client', host)) >= 240)
    const { links } = await worldStatus(world)
    const link = links.find(({ name }) => name === 'ams--iad')
    assert.equal(link?.delayMs, 120)
    assert(link.traffic?.every(({ sentFrames }) => sentFrames > 0))
    await world.stretch('ams', 'iad', 45.63)
    await assert.rejects(world.stretch('ams', 'ams-1', 9), { code: 'planet.link_immediate' })
  })

  await t.test('a large answer crosses an ocean whole', async () => {
    const bytes = 4_000_000
    await world.start('nrt-1', 'files', [
      process.execPath,
      '-e',
      `require('node:http').createServer((q, s) => s.end(Buffer.alloc(${bytes}, 7))).listen(9000, '::')`,
    ])
    const url = `http://${world.node('nrt-1').plan.ipv4}:9000`
    const digest = await world
      .node('iad-client')
      .run('sh', [
        '-c',
        `curl -s --retry 20 --retry-connrefused --retry-delay 1 ${url} | sha256sum`,
      ])
    const expected = createHash('sha256').update(Buffer.alloc(bytes, 7)).digest('hex')
    assert.equal(digest.split(' ')[0], expected)
  })

  await t.test('anycast still leads to the nearest hosts', async (t) => {
    await startWhoami(world)
    const prober = new Prober(t, world, 'syd-client')
    await prober.answered(0, 5)
    prober.stop()
    const hosts = reachableHosts(world.plan, 'syd-client')
    for (const { answer } of prober.records) assert(answer === undefined || hosts.includes(answer))
  })
})
