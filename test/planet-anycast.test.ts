import assert from 'node:assert/strict'
import test from 'node:test'
import { type Outage, type RequestRecord, reachableHosts, type World, whoamiServer } from '#planet'
import {
  ANYCAST_URLS,
  eventually,
  Prober,
  startWhoami,
  testPlanet,
  WHOAMI_PORT,
  whoamiReady,
} from './planet-world.ts'

const answersOf = (records: readonly RequestRecord[], url: string) =>
  [
    ...new Set(records.filter((one) => one.url === url).flatMap(({ answer }) => answer ?? [])),
  ].sort()

/**
 * Holds every request against what the routing model allows: before the change only `before`, after
 * it settled only `after`, between them either; a failure only while routers were deciding.
 */
function judge(
  records: readonly RequestRecord[],
  { changedMs, settledMs }: { changedMs: number; settledMs: number },
  { before, after }: { before: readonly string[]; after: readonly string[] },
): { asked: number; failed: number } {
  let failed = 0
  for (const record of records) {
    const endMs = record.sentMs + record.tookMs
    const isBefore = endMs < changedMs
    const isAfter = record.sentMs > settledMs
    if (record.answer === undefined) {
      assert(!isBefore && !isAfter, `failed outside of the change: ${JSON.stringify(record)}`)
      failed += 1
      continue
    }
    const allowed = isBefore ? before : isAfter ? after : [...before, ...after]
    assert(allowed.includes(record.answer), `misrouted: ${JSON.stringify(record)}`)
  }
  return { asked: records.length, failed }
}

/** Makes a change under a running prober and judges every request by the model. */
async function watchChange(
  world: World,
  prober: Prober,
  client: string,
  change: () => Promise<void>,
  outages: { before: Outage; after: Outage },
): Promise<{ asked: number; failed: number }> {
  const startedMs = Date.now()
  await prober.answered(startedMs, 10)
  const changedMs = Date.now()
  await change()
  await world.settle()
  const settledMs = Date.now()
  await prober.answered(settledMs + 1, 10)
  const before = reachableHosts(world.plan, client, outages.before)
  const after = reachableHosts(world.plan, client, outages.after)
  const records = prober.since(startedMs)
  for (const url of ANYCAST_URLS) {
    assert.deepEqual(
      answersOf(prober.since(settledMs + 1), url).filter((a) => !after.includes(a)),
      [],
    )
  }
  return judge(records, { changedMs, settledMs }, { before, after })
}

test('anycast', async (t) => {
  const world = await testPlanet(t, 'anycast')
  await startWhoami(world)
  const silent = (...hosts: string[]): Outage => ({ silentHosts: new Set(hosts) })

  await t.test(
    'every client reaches the nearest hosts, over IPv4 and IPv6, and no other',
    async (t) => {
      for (const { name } of world.ofKind('client')) {
        const prober = new Prober(t, world, name)
        const expected = reachableHosts(world.plan, name)
        assert(expected.length > 0)
        await prober.answered(0, 40) // 40 flows over two equal paths: both are met
        prober.stop()
        for (const url of ANYCAST_URLS) assert.deepEqual(answersOf(prober.records, url), expected)
        assert.deepEqual(
          prober.records.filter(({ error }) => error !== undefined),
          [],
        )
      }
    },
  )

  await t.test('after a withdraw the next nearest answers, and none is misrouted', async (t) => {
    const prober = new Prober(t, world, 'nrt-client')
    const both = silent('nrt-1', 'nrt-2')
    const withdraw = async () => {
      await world.withdraw('nrt-1')
      await world.withdraw('nrt-2')
    }
    const announce = async () => {
      await world.announce('nrt-1')
      await world.announce('nrt-2')
    }
    const away = await watchChange(world, prober, 'nrt-client', withdraw, {
      before: {},
      after: both,
    })
    const back = await watchChange(world, prober, 'nrt-client', announce, {
      before: both,
      after: {},
    })
    prober.stop()
    t.diagnostic(`withdraw: ${away.failed} of ${away.asked} failed; back: ${back.failed}`)
  })

  await t.test('one prefix can be withdrawn without the other', async () => {
    await world.withdraw('ams-1', '2001:db8:a::/48')
    assert.deepEqual(await world.announced('ams-1'), ['203.0.113.0/24'])
    await world.announce('ams-1', '2001:db8:a::/48')
    assert.deepEqual(await world.announced('ams-1'), ['203.0.113.0/24', '2001:db8:a::/48'])
    await world.settle()
  })

  await t.test(
    'after a host is killed the next nearest answers within the hold time',
    async (t) => {
      const prober = new Prober(t, world, 'iad-client')
      const both = silent('iad-1', 'iad-2')
      const kill = async () => {
        await world.kill('iad-1')
        await world.kill('iad-2')
      }
      const killed = await watchChange(world, prober, 'iad-client', kill, {
        before: {},
        after: both,
      })
      t.diagnostic(`kill: ${killed.failed} of ${killed.asked} requests failed`)
      prober.stop()
    },
  )

  await t.test('a host that came back serves again once it announces', async (t) => {
    for (const host of ['iad-1', 'iad-2']) {
      await world.boot(host)
      assert.deepEqual(world.commands(host), [], 'a killed host comes back without its commands')
      await eventually(
        'its routing daemon',
        () => world.announced(host),
        (all) => all.length === 2,
      )
      await world.withdraw(host) // until its server runs, as a proxy would
      await world.start(host, 'whoami', whoamiServer(WHOAMI_PORT))
      await whoamiReady(world, host)
    }
    await world.settle()
    const prober = new Prober(t, world, 'gru-client')
    const announce = async () => {
      await world.announce('iad-1')
      await world.announce('iad-2')
    }
    const both = silent('iad-1', 'iad-2')
    const back = await watchChange(world, prober, 'gru-client', announce, {
      before: both,
      after: {},
    })
    assert(back.asked >= 40)
    prober.stop()
  })
})
