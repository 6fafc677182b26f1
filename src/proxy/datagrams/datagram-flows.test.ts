import assert from 'node:assert/strict'
import test from 'node:test'
import { seededRandom } from '#base'
import type { PlatformRow } from '../routing-table/platform-rows.ts'
import { TableFixture } from '../routing-table/table.fixture.ts'
import { DATAGRAM_BYTES_MAX, type DatagramHead, DatagramKind } from './datagram-frame.ts'
import { EdgeFlows } from './edge-flows.ts'
import { ipOf } from './endpoint.ts'
import { FLOW_IDLE_MS } from './flow-table.ts'
import { WorkerFlows } from './worker-flows.ts'

const SERVICE = { ip: ipOf('192.0.2.7'), port: 5_000 }
const CLIENT = { ip: ipOf('198.51.100.9'), port: 40_000 }
const UDP = { protocol: 'udp', internal_port: 5_000 }
const PORTS = [{ port: 5_000 }]

/** App `a` at 192.0.2.7, with UDP on port 5,000: m1 and m2 on h1 in ams, m3 on h2 in fra. */
function platform(ownHostId: string, service: PlatformRow = {}) {
  const rows = new TableFixture(ownHostId).host('h1', 'ams').host('h2', 'fra').app('a')
  rows.ip('192.0.2.7', 'a').ip('192.0.2.8', 'a', 'shared_v4')
  for (const [at, host] of ['h1', 'h1', 'h2'].entries()) {
    const id = `m${at + 1}`
    rows.machine(id, 'a', host, { ports: PORTS, service: { ...UDP, ...service } })
    rows.change(id, { private_ipv4: `172.19.0.${at * 8 + 2}` })
  }
  return rows
}
const edgeOf = (rows: TableFixture) => new EdgeFlows(rows.table, seededRandom(3))
const toMachine = (machine: string, client = CLIENT): DatagramHead => ({
  ...{ kind: DatagramKind.toMachine, client, service: SERVICE, machine },
})
const toClient = (machine: string, client = CLIENT): DatagramHead => ({
  ...toMachine(machine, client),
  kind: DatagramKind.toClient,
})

test('a client stays with a machine of the nearest region, and leaves it when it is no more', () => {
  const rows = platform('h1')
  const edge = edgeOf(rows)
  const send = (port = CLIENT.port) => {
    const to = edge.fromClient(SERVICE, { ...CLIENT, port }, 10, rows.nowMs)
    return typeof to === 'string' ? to : `${to.hostId} ${to.machine}`
  }
  const first = send()
  assert.match(first, /^h1 m[12]$/)
  for (let at = 0; at < 20; at += 1) assert.equal(send(), first)
  const others = new Set(Array.from({ length: 40 }, (_, at) => send(1_000 + at)))
  assert.deepEqual([...others].sort(), ['h1 m1', 'h1 m2'])
  rows.change(first.slice(3), { state: 'stopped' })
  const second = send()
  assert.match(second, /^h1 m[12]$/)
  assert.notEqual(second, first)
  rows.change(first.slice(3), { state: 'started' })
  assert.equal(send(), second, 'it stays where it is now')
  rows.change(second.slice(3), { state: 'stopped' }).change(first.slice(3), { state: 'stopped' })
  assert.equal(send(), 'h2 m3', 'another region, for want of any here')
  rows.change('m3', { state: 'stopped' })
  assert.equal(send(), 'no_machine', 'nothing is started')
})

test('a client that was silent for long begins anew', () => {
  const rows = platform('h1')
  const edge = edgeOf(rows)
  for (let at = 0; at < 30; at += 1) {
    edge.fromClient(SERVICE, { ...CLIENT, port: at }, 10, rows.nowMs)
  }
  assert.equal(edge.flows.size, 30)
  edge.flows.sweep(rows.nowMs + FLOW_IDLE_MS - 1)
  assert.equal(edge.flows.size, 30)
  edge.flows.sweep(rows.nowMs + FLOW_IDLE_MS)
  assert.equal(edge.flows.size, 0)
})

test('what leads nowhere is dropped with its reason', () => {
  const rows = platform('h1')
  const edge = edgeOf(rows)
  const send = (service = SERVICE, client = CLIENT, bytes = 10) =>
    edge.fromClient(service, client, bytes, rows.nowMs)
  assert.equal(send({ ...SERVICE, port: 5_001 }), 'no_service')
  assert.equal(send({ ...SERVICE, ip: ipOf('192.0.2.9') }), 'no_service')
  assert.equal(send(SERVICE, CLIENT, DATAGRAM_BYTES_MAX + 1), 'too_large')
  assert.notEqual(send(SERVICE, CLIENT, DATAGRAM_BYTES_MAX), 'too_large')
  // Two services that answer each other would never end.
  assert.equal(send(SERVICE, { ip: ipOf('192.0.2.8'), port: 5_000 }), 'own_source')
})

test('an answer leaves only to who has spoken, from the host and the machine that were spoken to', () => {
  const rows = platform('h1')
  for (const id of ['m1', 'm2']) rows.change(id, { state: 'stopped' })
  const edge = edgeOf(rows)
  const answer = (host: string, head: DatagramHead) => edge.fromWorker(host, head, rows.nowMs)
  assert.equal(answer('h2', toClient('m3')), 'no_flow')
  edge.fromClient(SERVICE, CLIENT, 10, rows.nowMs)
  assert.equal(answer('h2', toClient('m3')), undefined)
  assert.equal(answer('h9', toClient('m3')), 'unknown_host')
  assert.equal(answer('h2', toClient('m1')), 'unknown_host')
  assert.equal(answer('h2', toClient('m3', { ...CLIENT, port: 40_001 })), 'no_flow')
})

test('a worker that refuses is not asked again for a while, when there is another', () => {
  const rows = platform('h1')
  const edge = edgeOf(rows)
  const send = () => edge.fromClient(SERVICE, CLIENT, 10, rows.nowMs)
  const first = send()
  assert(typeof first !== 'string')
  edge.refused('h9', toMachine(first.machine), rows.nowMs)
  assert.deepEqual(send(), first, 'the word of another host counts nothing')
  edge.refused('h1', toMachine(first.machine), rows.nowMs)
  const second = send()
  assert(typeof second !== 'string')
  assert.notEqual(second.machine, first.machine)
})

test('a worker hands on to the port that was dialled, and sends answers to the edge and address they belong to', () => {
  const rows = platform('h1')
  const worker = new WorkerFlows(rows.table)
  const at = { ip: ipOf('172.19.0.3'), port: 5_000 }
  const answer = (machine: string, from = at, client = CLIENT) =>
    worker.fromMachine(machine, from, client, 10, rows.nowMs)
  assert.equal(answer('m1'), 'no_flow')
  assert.deepEqual(worker.fromEdge('h2', toMachine('m1'), rows.nowMs), at)
  const flow = answer('m1')
  assert(typeof flow !== 'string')
  assert.equal(flow.edgeId, 'h2')
  assert.deepEqual(flow.to, SERVICE)
  assert.equal(answer('m2'), 'no_flow', 'another machine has nothing to say to that client')
  assert.equal(answer('m1', { ...at, port: 5_001 }), 'no_flow')
  assert.equal(answer('m1', at, { ...CLIENT, port: 1 }), 'no_flow')
  assert.equal(
    worker.fromMachine('m1', at, CLIENT, DATAGRAM_BYTES_MAX + 1, rows.nowMs),
    'too_large',
  )
  worker.fromEdge('h1', toMachine('m1'), rows.nowMs)
  const moved = answer('m1')
  assert(typeof moved !== 'string')
  assert.equal(moved.edgeId, 'h1', "the client's packets come by another edge now")
  rows.change('m1', { private_ipv4: '172.19.0.50' })
  assert.equal(answer('m1'), 'no_flow', 'the address may be another machine’s')
})

test('a worker refuses what is not its own, not running, not exposed, or of another app', () => {
  const rows = platform('h1').app('b').ip('192.0.2.20', 'b')
  const worker = new WorkerFlows(rows.table)
  const ask = (machine: string, service = SERVICE) =>
    worker.fromEdge('h2', { ...toMachine(machine), service }, rows.nowMs)
  assert.equal(ask('m3'), 'refused')
  assert.equal(ask('m9'), 'refused')
  assert.equal(ask('m1', { ...SERVICE, port: 80 }), 'refused')
  assert.equal(ask('m1', { ...SERVICE, ip: ipOf('192.0.2.20') }), 'refused')
  assert.equal(ask('m1', { ...SERVICE, ip: ipOf('192.0.2.8') }), 'refused', 'a shared address')
  rows.change('m1', { state: 'stopped' })
  assert.equal(ask('m1'), 'refused')
})

test('a flow counts as a connection of its service, until it ends', () => {
  const rows = platform('h1', { hard_limit: 2 })
  const worker = new WorkerFlows(rows.table)
  const [service] = rows.table.machine('m1')?.services ?? []
  const ask = (port: number) =>
    worker.fromEdge('h2', toMachine('m1', { ...CLIENT, port }), rows.nowMs)
  assert.notEqual(ask(1), 'refused')
  assert.notEqual(ask(1), 'refused')
  assert.equal(service?.load, 1)
  assert.notEqual(ask(2), 'refused')
  assert.equal(ask(3), 'refused', 'its hard limit')
  worker.flows.sweep(rows.nowMs + FLOW_IDLE_MS)
  assert.equal(service?.load, 0)
})

test('conversations go on in the process that follows, at the same machine', () => {
  const rows = platform('h1')
  const [edge, worker] = [edgeOf(rows), new WorkerFlows(rows.table)]
  const ports = Array.from({ length: 30 }, (_, at) => 1_000 + at)
  const send = (from: EdgeFlows, port: number, nowMs: number) => {
    const to = from.fromClient(SERVICE, { ...CLIENT, port }, 10, nowMs)
    assert(typeof to !== 'string')
    return to.machine
  }
  const chosen = ports.map((port) => send(edge, port, rows.nowMs))
  for (const [at, port] of ports.entries()) {
    const head = toMachine(chosen[at] ?? '', { ...CLIENT, port })
    assert.notEqual(worker.fromEdge('h1', head, rows.nowMs), 'refused')
  }
  const answered = toClient(chosen[3] ?? '', { ...CLIENT, port: 1_003 })
  assert.equal(edge.fromWorker('h1', answered, rows.nowMs), undefined)

  const handedMs = rows.nowMs + 1_000
  const flows = { edge: edge.handOver(handedMs), worker: worker.handOver(handedMs) }
  const next = platform('h1')
  const laterMs = 7_000 // the clock of another process
  const nextEdge = new EdgeFlows(next.table, seededRandom(99))
  const nextWorker = new WorkerFlows(next.table)
  nextEdge.adopt(flows.edge, laterMs)
  nextWorker.adopt(flows.worker, laterMs)
  assert.deepEqual(
    ports.map((port) => send(nextEdge, port, laterMs)),
    chosen,
  )
  assert.equal(nextEdge.fromWorker('h1', answered, laterMs), undefined)
  const loads = ['m1', 'm2'].map((id) => {
    const [service] = next.table.machine(id)?.services ?? []
    return service?.load
  })
  assert.deepEqual(
    loads,
    ['m1', 'm2'].map((id) => chosen.filter((one) => one === id).length),
    'they count as connections',
  )
  assert.deepEqual(nextWorker.handOver(laterMs), flows.worker)
  nextEdge.adopt([[1, 2, 'nobody', 'h1', 0, true]], laterMs)
  assert.equal(nextEdge.flows.size, ports.length)
  next.change('m1', { state: 'stopped' })
  const third = new WorkerFlows(next.table)
  third.adopt(flows.worker, laterMs)
  assert.equal(third.flows.size, chosen.filter((one) => one === 'm2').length)
})
