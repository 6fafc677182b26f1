import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { type Clock, createLog, pollUntil, systemClock } from '#base'
import { type HandedFlows, NO_FLOWS } from '../datagrams/handed-flows.ts'
import { EventLoop } from '../net/event-loop.ts'
import { close } from '../net/libc.ts'
import { acceptLocally, listenLocally, sendMessage } from '../net/local-messages.ts'
import { acceptConnection, localAddress, openDatagramSocket, openListener } from '../net/socket.ts'
import type { ServiceEntry } from '../routing-table/app-tree.ts'
import { TableFixture } from '../routing-table/table.fixture.ts'
import { HandoverDoor } from './handover-door.ts'
import type { HeldSocket } from './handover-message.ts'
import { Predecessor } from './predecessor.ts'

const log = createLog({ part: 'proxy', level: 'fatal' })
const clock = systemClock
const deadlineMs = 20_000

function begin(t: TestContext) {
  const opened = new DisposableStack()
  const folder = mkdtempSync(join(tmpdir(), 'godwit-handover-'))
  opened.defer(() => rmSync(folder, { recursive: true }))
  t.after(() => opened.dispose())
  const loop = opened.use(
    new EventLoop((error) => {
      throw error
    }),
  )
  return { opened, loop, path: join(folder, 'door.sock') }
}

function openDoor(
  { opened, loop, path }: ReturnType<typeof begin>,
  sockets: readonly HeldSocket[],
  flows: HandedFlows = NO_FLOWS,
  rows = new TableFixture(),
): HandoverDoor {
  const prepare = () => Promise.resolve()
  const loads = { table: rows.table, changed: () => undefined }
  const options = { path, loop, clock, log, prepare, sockets: () => sockets, loads }
  return opened.use(new HandoverDoor({ ...options, handOver: () => flows }))
}

test('a successor gets every socket, however many, and connections wait in them meanwhile', async (t) => {
  const stage = begin(t)
  const sockets = Array.from({ length: 450 }, (): HeldSocket => {
    const fd = openListener('127.0.0.1', 0)
    return { use: 'tcp', ...localAddress(fd), fd }
  })
  const door = openDoor(stage, sockets)
  assert.equal(statSync(stage.path).mode & 0o777, 0o600)
  const last = sockets[449] as HeldSocket
  const client = stage.opened.adopt(connect(last.port, '127.0.0.1'), (one) => one.destroy())
  await once(client, 'connect')
  using predecessor = await Predecessor.meet(stage.path, { clock, log })
  assert(!door.hasHandedOver)
  await predecessor.replaced()
  assert(door.hasHandedOver, 'before it hears that all of it was taken')
  await door.replaced
  for (const { fd } of sockets) close(fd)
  const taken = predecessor.takeAll('tcp')
  for (const { fd } of taken) stage.opened.defer(() => void close(fd))
  assert.deepEqual(
    taken.map(({ address, port }) => [address, port]),
    sockets.map(({ address, port }) => [address, port]),
  )
  for (const { fd, port } of taken) assert.equal(localAddress(fd).port, port)
  const fd = acceptConnection(taken[449]?.fd ?? -1)
  assert(fd >= 0, 'what had been in the queue before')
  close(fd)
})

test('conversations go over whole, though they are more than a message holds', async (t) => {
  const stage = begin(t)
  const edge = Array.from(
    { length: 20_000 },
    (_, at) => [at, at * 65_536 + 53, `machine-${at}`, 'ams-1', at % 60_000, at % 2 === 0] as const,
  )
  const worker = [[1, 2, 'm1', 'iad-1', 3, 4.5, true] as const]
  const door = openDoor(stage, [], { edge, worker })
  using predecessor = await Predecessor.meet(stage.path, { clock, log })
  assert.deepEqual(await predecessor.replaced(), { edge, worker })
  await door.replaced
})

test('until the old process ends, each counts what the other carries to machines of the host', async (t) => {
  const stage = begin(t)
  const makeRows = () => {
    const rows = new TableFixture().app('a').machine('m1', 'a', 'h1').host('h2', 'ams')
    rows.machine('m2', 'a', 'h2', { service: { internal_port: 9 } })
    const services = ['m1', 'm2'].flatMap((id) => [...(rows.table.machine(id)?.services ?? [])])
    return { rows, one: services[0] as ServiceEntry, far: services[1] as ServiceEntry }
  }
  const [old, young] = [makeRows(), makeRows()]
  for (const service of [old.one, old.one, old.far]) service.take()
  const door = openDoor(stage, [], NO_FLOWS, old.rows)
  using predecessor = await Predecessor.meet(stage.path, { clock, log })
  let changes = 0
  const changed = () => {
    changes += 1
  }
  using _sharing = predecessor.shareLoads({ table: young.rows.table, changed })
  const until = (what: string, look: () => boolean) => pollUntil(what, look, { deadlineMs })
  await until('what there was', () => young.one.load === 2)
  young.one.take()
  await until('what is new', () => old.one.load === 3)
  assert.deepEqual(await predecessor.replaced(), NO_FLOWS)
  predecessor.taken(stage.loop)
  await door.replaced
  door.shut()
  old.one.release()
  const before = changes
  await until('what has ended', () => young.one.load === 2)
  assert(changes > before, 'whoever waits is told')
  assert.equal(young.far.load, 0, 'other hosts count their own')
  door[Symbol.dispose]()
  await until('the end', () => young.one.load === 1)
  assert.equal(old.one.load, 1)
})

test('datagrams that come in between wait in the socket', async (t) => {
  const stage = begin(t)
  const fd = openDatagramSocket('127.0.0.1', 0)
  const { address, port } = localAddress(fd)
  const held: HeldSocket[] = [{ use: 'udp', address, port, fd }]
  openDoor(stage, held)
  const client = createSocket('udp4')
  stage.opened.defer(() => void client.close())
  using predecessor = await Predecessor.meet(stage.path, { clock, log })
  await predecessor.replaced()
  close(fd)
  const taken = predecessor.take('udp', address, port)
  assert(taken !== undefined)
  assert.equal(predecessor.take('udp', address, port), undefined, 'it is somebody’s')
  await new Promise<void>((resolve) => client.send('early', port, address, () => resolve()))
  const got: number[] = []
  stage.loop.add(taken, { ready: () => void got.push(taken) })
  stage.opened.defer(() => void close(taken))
  await pollUntil('the datagram', () => got.length > 0, { deadlineMs })
})

test('a second successor is told to try again, and the first one goes on', async (t) => {
  const stage = begin(t)
  const door = openDoor(stage, [])
  using first = await Predecessor.meet(stage.path, { clock, log })
  await assert.rejects(Predecessor.meet(stage.path, { clock, log }), {
    code: 'proxy.takeover_failed',
  })
  await first.replaced()
  await door.replaced
})

test('a successor that ends before it serves changes nothing: the next one is served', async (t) => {
  const stage = begin(t)
  const door = openDoor(stage, [])
  const first = await Predecessor.meet(stage.path, { clock, log })
  first[Symbol.dispose]()
  const again = async () => {
    try {
      return await Predecessor.meet(stage.path, { clock, log })
    } catch {
      return undefined // its end is not known yet
    }
  }
  using next = await pollUntil('another', again, { deadlineMs })
  await next.replaced()
  await door.replaced
})

test('where nobody serves, or nobody answers, a process begins anew', async (t) => {
  const { opened, path } = begin(t)
  using nobody = await Predecessor.meet(path, { clock, log })
  assert.deepEqual(nobody.takeAll('tcp'), [])
  assert.deepEqual(await nobody.replaced(), NO_FLOWS)
  const silent = listenLocally(path)
  opened.defer(() => void close(silent))
  const impatient: Clock = { ...clock, setTimer: (call) => clock.setTimer(call, 1) }
  using mute = await Predecessor.meet(path, { clock: impatient, log })
  assert.deepEqual(await mute.replaced(), NO_FLOWS)
})

test('what is no message of a takeover ends it', async (t) => {
  const { opened, loop, path } = begin(t)
  const listener = listenLocally(path)
  opened.defer(() => void close(listener))
  loop.add(listener, {
    ready() {
      const fd = acceptLocally(listener)
      if (fd < 0) return
      sendMessage(fd, Buffer.from('{"type":"else"}'), [listener])
      opened.defer(() => void close(fd))
    },
  })
  await assert.rejects(Predecessor.meet(path, { clock, log }), { code: 'proxy.takeover_failed' })
})
