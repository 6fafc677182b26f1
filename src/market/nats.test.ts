import assert from 'node:assert/strict'
import test from 'node:test'
import { pollUntil } from '#base'
import { ams, host, nrt, request, soon, TestMarket, whole } from './market.fixture.ts'
import { decodeOrder, encodeAnswer, encodeAsk, encodeOrder, encodeOrderAnswer } from './message.ts'
import type { NatsLink } from './nats-link.ts'
import type { Placement } from './placement.ts'
import type { PlacementError } from './placement-error.ts'
import { askSubject, hostSubjects, orderSubject } from './subjects.ts'

const half = { needs: { guest: { cpuKind: 'shared', cpus: 8, memoryMb: 2_048 } } } as const
const failure = (placing: Promise<Placement>): Promise<PlacementError> =>
  placing.then(
    ({ host: taken }) => assert.fail(`it was placed on ${taken}`),
    (error: PlacementError) => error,
  )

/** Bids whatever is asked, in its own name or another, and answers orders as told. */
function fakeHost(
  link: NatsLink,
  id: string,
  { bids = 1, as = id, replyAs = id, answersOrders = false } = {},
): { orders: string[] } {
  const orders: string[] = []
  const utilisation = { cpu: 0.8, memory: 0.9, machines: 0, volume: 0 }
  const bid = { host: host(as), region: ams, utilisation, appMachines: 0, hasImage: false }
  const { asks, orders: ordered } = hostSubjects(host(id), ams)
  link.subscribe(asks[0] ?? '', ({ reply }) => {
    for (let n = 0; n < bids; n += 1) {
      link.publish(`${reply}.${replyAs}`, encodeAnswer({ type: 'bid', bid }))
    }
  })
  link.subscribe(ordered, ({ data, reply }) => {
    const order = decodeOrder(data)
    orders.push(order.type)
    if (!answersOrders || order.type === 'cancel') return
    const { reservation } = order
    for (let n = 0; n < bids; n += 1) {
      link.publish(`${reply}.${id}`, encodeOrderAnswer({ reservation }))
    }
  })
  return { orders }
}

test('a machine is placed on the fuller of two hosts, reserved there, and confirmed', async (t) => {
  const market = await TestMarket.start(t, ['a1', 'a2'])
  const { book: empty } = await market.host('a1')
  const { book } = await market.host('a2')
  book.restore('m1', half)
  const placer = await market.placer({ hostsIn: () => 2 })
  const placement = await placer.place(request)
  assert.equal(placement.host, host('a2'))
  assert.deepEqual([book.reservationCount, empty.reservationCount], [1, 0])
  book.confirm(placement.reservation, 'm2', performance.now())
  assert.deepEqual([book.reservationCount, book.holderCount], [0, 2])
})

test('a full region gives a reason per host, and the next region is tried where one is named', async (t) => {
  const market = await TestMarket.start(t, ['a1', 'a2', 'n1@nrt'])
  for (const id of ['a1', 'a2']) (await market.host(id)).book.restore('m', half)
  await market.host('n1', { region: nrt })
  const placer = await market.placer({ hostsIn: (region) => (region === ams ? 2 : 1) })
  const asked = { ...request, guest: whole }
  const error = await failure(placer.place(asked))
  assert.equal(error.code, 'market.no_capacity')
  const reasons = error.refusals.map(({ host: id, reason, free }) => `${id} ${reason} ${free}`)
  assert.deepEqual(reasons.toSorted(), ['a1 cpus 15.5', 'a2 cpus 15.5'])
  const placement = await placer.place({ ...asked, regions: [ams, nrt] })
  assert.equal(placement.host, host('n1'))
})

test('constraints are decided by the host that knows: volume, neighbours, name, hardware', async (t) => {
  const market = await TestMarket.start(t, ['a1', 'a2'])
  const view = { holds: (id: string) => id === 'vol_1', countOfApp: () => 0, hasImage: () => false }
  await market.host('a1', { view })
  await market.host('a2')
  const placer = await market.placer({ hostsIn: () => 2 })
  const placed = async (changes: object) => (await placer.place({ ...request, ...changes })).host
  assert.equal(await placed({ volume: 'vol_1' }), host('a1'))
  assert.equal(await placed({ beside: ['vol_1'] }), host('a1'))
  assert.equal(await placed({ apart: ['vol_1'] }), host('a2'))
  assert.equal(await placed({ host: host('a2') }), host('a2'))
  const nowhere = await failure(placer.place({ ...request, hardware: 'arm' }))
  assert.equal(nowhere.code, 'market.no_match')
  const error = await failure(placer.place({ ...request, host: host('a2'), volume: 'vol_1' }))
  assert.deepEqual(
    error.refusals.map(({ reason }) => reason),
    ['volume_elsewhere'],
  )
})

test('a region where nobody listens fails at once, not when time is up', async (t) => {
  const market = await TestMarket.start(t, ['a1'])
  const placer = await market.placer({
    limits: { silenceMs: 60_000, deadlineMs: 80_000, reservationTtlMs: 90_000 },
  })
  const error = await failure(placer.place({ ...request, regions: [ams, nrt] }))
  assert.equal(error.code, 'market.no_answer')
  assert.deepEqual(
    error.refusals.map(({ region, reason }) => `${region} ${reason}`),
    ['ams nobody', 'nrt nobody'],
  )
})

test('a host cannot bid for another, cannot ask, cannot order, and hears no other region', async (t) => {
  const market = await TestMarket.start(t, ['a1', 'a2', 'n1@nrt'])
  const rogue = await market.link('a1')
  const heard: string[] = []
  for (const subject of [
    'market.>',
    'market.ask.region.nrt',
    'market.order.a2',
    'market.reply.>',
  ]) {
    rogue.subscribe(subject, (message) => heard.push(message.subject))
  }
  fakeHost(rogue, 'a1', { as: 'a2', replyAs: 'a2' })
  await rogue.flush()
  const placer = await market.placer({ limits: { silenceMs: 300 } })
  assert.equal((await failure(placer.place(request))).code, 'market.no_answer')
  const { link, bids } = await market.host('a2')
  rogue.publish(askSubject({ region: ams }), encodeAsk(request), 'market.reply.flaps1.x.a0')
  rogue.publish(orderSubject(host('a2')), encodeOrder({ type: 'cancel', reservation: 'r' }))
  await rogue.flush()
  await link.flush()
  assert.deepEqual([bids.counters.bids, bids.counters.cancelled], [0, 0])
  assert.deepEqual(heard, [])
})

test('a client cannot bid, and hears no replies but its own', async (t) => {
  const market = await TestMarket.start(t, ['a1'])
  const { bids } = await market.host('a1')
  const placer = await market.placer({ hostsIn: () => 1 })
  const link = await market.link('flaps1')
  const heard: string[] = []
  for (const subject of ['market.reply.flaps2.>', 'market.ask.>', 'market.order.a1']) {
    link.subscribe(subject, (message) => heard.push(message.subject))
  }
  link.publish('market.reply.flaps2.x.a0.a1', '{}')
  await link.flush()
  await placer.place(request)
  assert.equal(bids.counters.bids, 1)
  assert.deepEqual(heard, [])
})

test('who is not known to the server does not get in', async (t) => {
  const market = await TestMarket.start(t, ['a1'])
  const stranger = await market.strangersLink()
  const { bids } = await market.host('a1')
  const placer = await market.placer({ hostsIn: () => 1 })
  await placer.place(request)
  assert.equal(stranger.isConnected, false)
  assert.equal(bids.counters.bids, 1)
})

test('a silent host, one that bids twice, and one that answers late do not keep a machine from its place', async (t) => {
  const market = await TestMarket.start(t, ['mute', 'twice', 'a1'])
  const mute = await market.link('mute')
  const { orders } = fakeHost(mute, 'mute')
  const twice = await market.link('twice')
  fakeHost(twice, 'twice', { bids: 3, answersOrders: true })
  await Promise.all([mute.flush(), twice.flush()])
  const limits = { orderMs: 200, silenceMs: 2_000 }
  const placer = await market.placer({ hostsIn: () => 3, limits })
  await market.host('a1')
  const placement = await placer.place(request)
  assert.notEqual(placement.host, host('mute'))
  const again = () => placer.place(request)
  await pollUntil(
    'an order to the mute host',
    async () => (await again()) && orders.length >= 2,
    soon,
  )
  assert.deepEqual(orders.slice(0, 2), ['reserve', 'cancel'])
  assert.ok(placer.counters.ignored > 0)
})

test('what is no message is counted and answered as such, and does no harm', async (t) => {
  const market = await TestMarket.start(t, ['a1', 'liar'])
  const { bids } = await market.host('a1')
  const liar = await market.link('liar')
  liar.subscribe(askSubject({ region: ams }), ({ reply }) => {
    for (const text of ['', '{', '{"v":9}', 'null', '[]']) liar.publish(`${reply}.liar`, text)
  })
  await liar.flush()
  const placer = await market.placer({ limits: { bidWindowMs: 200 } })
  assert.equal((await placer.place(request)).host, host('a1'))
  assert.equal(placer.counters.malformed, 5)
  const client = await market.link('flaps1')
  for (const text of ['', '{', '{"v":1,"type":"ask"}']) {
    client.publish(askSubject({ region: ams }), text, 'market.reply.flaps1.x.a0')
    client.publish(orderSubject(host('a1')), text)
    client.publish(askSubject({ region: ams }), text, 'elsewhere')
  }
  await pollUntil('nine refusals', () => bids.counters.malformed === 9, soon)
  assert.equal((await placer.place(request)).host, host('a1'))
})

test('placing fails at once while the server is down, also what is under way; all go on when it is back', async (t) => {
  const market = await TestMarket.start(t, ['a1', 'mute'])
  const { link } = await market.host('a1')
  const mute = await market.link('mute')
  let asked = 0
  mute.subscribe(askSubject({ region: ams }), () => {
    asked += 1
  })
  await mute.flush()
  const limits = {
    bidWindowMs: 30_000,
    silenceMs: 30_000,
    deadlineMs: 40_000,
    reservationTtlMs: 50_000,
  }
  const placer = await market.placer({ hostsIn: () => 2, limits })
  const underWay = failure(placer.place(request))
  await pollUntil('the ask', () => asked > 0, soon)
  process.kill(market.server.pid ?? 0, 'SIGKILL')
  assert.equal((await underWay).code, 'market.unavailable')
  assert.equal((await failure(placer.place(request))).code, 'market.unavailable')
  const atA1 = { ...request, host: host('a1') }
  const tryAgain = () =>
    placer.place(atA1).catch((error: PlacementError) => assert.ok(error.traits.transient))
  const placement = await pollUntil('a placement', async () => (await tryAgain()) ?? false, soon)
  assert.equal(placement.host, host('a1'))
  assert.equal(link.connects, 2)
})

test('a caller that goes away gets its own reason, and its reservation is given back', async (t) => {
  const market = await TestMarket.start(t, ['slow'])
  const slow = await market.link('slow')
  const { orders } = fakeHost(slow, 'slow')
  await slow.flush()
  const placer = await market.placer({ hostsIn: () => 1 })
  const controller = new AbortController()
  const placing = placer.place(request, { signal: controller.signal })
  await Promise.all([
    assert.rejects(placing, /enough/),
    pollUntil('the order', () => orders.length === 1, soon).then(() =>
      controller.abort(new Error('enough')),
    ),
  ])
  await pollUntil('the cancellation', () => orders[1] === 'cancel', soon)
  assert.equal(placer.runningCount, 0)
})

test('a placement that is not used is released on its host', async (t) => {
  const market = await TestMarket.start(t, ['a1'])
  const { book } = await market.host('a1')
  const placer = await market.placer({ hostsIn: () => 1 })
  const placement = await placer.place(request)
  assert.equal(book.reservationCount, 1)
  placer.release(placement)
  await pollUntil('the release', () => book.reservationCount === 0, soon)
})

test('a reservation that nobody confirms ends by itself', async (t) => {
  const market = await TestMarket.start(t, ['a1'])
  const { book, bids } = await market.host('a1')
  const limits = { silenceMs: 300, orderMs: 300, deadlineMs: 400, reservationTtlMs: 500 }
  const placer = await market.placer({ hostsIn: () => 1, limits })
  await placer.place(request)
  await pollUntil('the end', () => book.reservationCount === 0, soon)
  assert.equal(bids.counters.expired, 1)
})

test('a placer takes so many at once and no more', async (t) => {
  const market = await TestMarket.start(t, ['mute'])
  const mute = await market.link('mute')
  mute.subscribe(askSubject({ region: ams }), () => undefined)
  await mute.flush()
  const placer = await market.placer({ placementsMax: 1, limits: { silenceMs: 200 } })
  const first = failure(placer.place(request))
  const second = await failure(placer.place(request))
  assert.equal(second.code, 'market.overloaded')
  assert.equal((await first).code, 'market.no_answer')
})

test('a host that is added to the server may come in, one that is removed is cut off', async (t) => {
  const market = await TestMarket.start(t, ['a1'])
  const { link } = await market.host('a1')
  market.replaceUsers(['a2'])
  await pollUntil('the cut', () => !link.isConnected, soon)
  await market.host('a2')
  const placer = await market.placer({ hostsIn: () => 1 })
  assert.equal((await placer.place(request)).host, host('a2'))
})
