import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import test from 'node:test'
import { listPlanets, removePlanet } from '#planet'
import { eventually, testPlanet } from './planet-world.ts'

const ping = (from: { run: (command: string, args: string[]) => Promise<string> }, to: string) =>
  from.run('ping', ['-c', '1', '-W', '1', to]).then(
    () => true,
    () => false,
  )

/** A process that stands still, as a suspended machine's do. Without cgroup2 such a one dies only when it may run again. */
const SUSPENDED = `cd /sys/fs/cgroup; [ -e cgroup.controllers ] || cd freezer
mkdir still; cd still
sleep 1000 >/dev/null 2>&1 & echo $! >cgroup.procs
if [ -e cgroup.freeze ]; then echo 1 >cgroup.freeze; else echo FROZEN >freezer.state; fi`

test('links', async (t) => {
  const world = await testPlanet(t, 'links', { latency: false, bgp_hold_s: 3 })
  const ams = world.node('ams-client')
  const iadHost = world.node('iad-1').plan
  const hops = async () => {
    const trace = await ams.run('ip', ['-json', 'route', 'get', iadHost.ipv4])
    assert(trace.length > 0)
    return (await world.node('ams').run('ip', ['-json', 'route', 'get', iadHost.ipv4])).match(
      /"dev":"(\w+)"/,
    )?.[1]
  }

  await t.test('a cut link is routed around, and used again once healed', async () => {
    assert.equal(await hops(), 'iad')
    await world.cut('ams', 'iad')
    await world.settle()
    assert.equal(await hops(), 'sin')
    assert(await ping(ams, iadHost.ipv4), 'IPv4 the long way')
    assert(await ping(ams, iadHost.ipv6), 'IPv6 the long way')
    await world.heal('iad', 'ams')
    await world.settle()
    assert.equal(await hops(), 'iad')
    assert.deepEqual(world.cuts(), [])
  })

  await t.test(
    'a host whose only link was cut reaches the world again once it is healed',
    async () => {
      await world.cut('ams', 'ams-1')
      await world.settle()
      await world.heal('ams', 'ams-1')
      await world.settle()
      assert(await ping(world.node('ams-1'), iadHost.ipv4))
      assert(await ping(world.node('ams-1'), iadHost.ipv6))
    },
  )

  await t.test('a silent cut is found out by the hold time', async () => {
    await world.cut('ams', 'iad', { silent: true })
    const lit = await world.node('ams').run('cat', ['/sys/class/net/iad/operstate'])
    assert.equal(lit.trim(), 'up', 'the interface believes the link to be up')
    await world.settle()
    assert.equal(await hops(), 'sin')
    await world.heal('ams', 'iad')
    await world.settle()
    assert(await ping(ams, iadHost.ipv4))
  })

  await t.test('an asymmetric cut stops one direction only', async () => {
    await world.cut('ams', 'ams-1', { from: 'ams-1' })
    const router = world.node('ams')
    const received = async () =>
      Number(await world.node('ams-1').run('cat', ['/sys/class/net/eth0/statistics/rx_packets']))
    const before = await received()
    assert.equal(await ping(router, world.node('ams-1').plan.ipv4), false, 'no answer comes back')
    assert((await received()) > before, 'the question arrives')
    await world.heal('ams', 'ams-1')
    await world.settle()
    assert(await ping(router, world.node('ams-1').plan.ipv4))
  })

  await t.test('a host that boots behind a cut link stays dark until it heals', async () => {
    await world.cut('nrt', 'nrt-1')
    await world.kill('nrt-1')
    await world.boot('nrt-1')
    await world.settle()
    assert.equal(await ping(world.node('nrt'), world.node('nrt-1').plan.ipv4), false)
    await world.heal('nrt', 'nrt-1')
    await world.settle()
    assert(await ping(world.node('nrt'), world.node('nrt-1').plan.ipv4))
  })

  await t.test('healing the link of a dead host does not revive it', async () => {
    await world.kill('nrt-2')
    await world.cut('nrt', 'nrt-2')
    await world.heal('nrt', 'nrt-2')
    assert.equal(await ping(world.node('nrt'), world.node('nrt-2').plan.ipv4), false)
    await world.boot('nrt-2')
    await world.settle()
  })

  await t.test('a link that does not exist is refused, with those that do', async () => {
    await assert.rejects(world.cut('ams', 'nrt'), {
      code: 'planet.link_unknown',
      message: /ams has links to iad, sin, ams-1/,
    })
    await assert.rejects(world.cut('ams', 'xyz'), { code: 'planet.node_unknown' })
  })
})

test('hosts', async (t) => {
  const world = await testPlanet(t, 'hosts')
  const host = world.node('ams-1')

  await t.test(
    'a host sees itself: its name, its processes, its interfaces, its disk',
    async () => {
      assert.equal((await host.run('cat', ['/proc/sys/kernel/hostname'])).trim(), 'ams-1')
      assert.equal((await host.run('cat', ['/proc/1/comm'])).trim(), 'tini')
      assert.match(await host.run('ls', ['/sys/class/net']), /eth0/)
      await host.run('sh', ['-c', 'echo kept > /var/lib/godwit/file'])
      assert.notEqual(
        (await world.node('ams-2').run('ls', ['/var/lib/godwit'])).includes('file'),
        true,
        "another host's disk is another disk",
      )
      assert.match(await host.run('getent', ['hosts', 'nrt-1']), /2001:db8:1002:1::2/)
    },
  )

  await t.test('a killed host loses processes and mounts and keeps its disk', async () => {
    await world.start('ams-1', 'sleeper', ['sh', '-c', 'sleep 1000 & sleep 1000'])
    await host.run('sh', ['-ec', SUSPENDED])
    await host.run('mount', ['-t', 'tmpfs', 'scratch', '/mnt'])
    const sleeper = world.commands('ams-1')[0]
    assert(sleeper !== undefined)
    await world.kill('ams-1')
    await assert.rejects(host.run('true'), { code: 'planet.node_down' })
    await eventually(
      'the sleeper',
      () => existsSync(`/proc/${sleeper.leader.pid}/fd/0`),
      (is) => !is,
    )
    await world.boot('ams-1')
    assert.equal((await host.run('cat', ['/var/lib/godwit/file'])).trim(), 'kept')
    assert.doesNotMatch(await host.run('cat', ['/proc/mounts']), /scratch/)
    assert.deepEqual(world.commands('ams-1'), [])
  })

  await t.test('a stopped command takes its whole process group with it', async () => {
    await world.start('ams-2', 'family', ['sh', '-c', 'sleep 1234 & sleep 1235 & wait'])
    const sleeps = () =>
      world.node('ams-2').run('sh', ['-c', 'pgrep -c -f "sleep 123[45]" || true'])
    await eventually('two children', sleeps, (count) => Number(count) >= 2)
    await assert.rejects(world.start('ams-2', 'family', ['true']), {
      code: 'planet.command_exists',
    })
    await world.stop('ams-2', 'family')
    const left = await world.node('ams-2').run('sh', ['-c', 'ps -e -o args'])
    assert.doesNotMatch(left, /sleep 123[45]$/m)
    await assert.rejects(world.stop('ams-2', 'family'), { code: 'planet.command_unknown' })
  })

  await t.test('a command that ignores SIGTERM is killed', async () => {
    await world.start('ams-2', 'deaf', ['sh', '-c', 'trap "" TERM; echo ready; sleep 1000'])
    const log = world.node('ams-2').runPath('commands', 'deaf.log')
    await eventually(
      'the trap',
      () => readFileSync(log, 'utf8'),
      (text) => text.includes('ready'),
    )
    await world.stop('ams-2', 'deaf')
    assert.deepEqual(world.commands('ams-2'), [])
  })
})

test('planets side by side do not meet, and one ends without the other', async (t) => {
  const one = await testPlanet(t, 'one')
  const two = await testPlanet(t, 'two')
  await one.node('ams-1').run('sh', ['-c', 'echo one > /var/lib/godwit/file'])
  await two.withdraw('ams-1')
  assert.equal((await one.announced('ams-1')).length, 2)
  const backing = `/var/lib/godwit/loop.img`
  await one.node('ams-1').run('sh', ['-c', `truncate -s 1M ${backing}; losetup -f ${backing}`])
  await removePlanet('one')
  assert(!listPlanets().includes('one') && listPlanets().includes('two'))
  assert.doesNotMatch(await two.node('ams-1').run('losetup', ['-l']), /loop\.img/)
  await two.settle()
  assert(await ping(two.node('nrt-client'), two.node('ams-1').plan.ipv4))
})
