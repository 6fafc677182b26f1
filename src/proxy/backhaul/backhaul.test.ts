import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import test from 'node:test'
import { createLog, pollUntil, seededRandom, systemClock, systemRandom } from '#base'
import { RoutingCore } from '../router/routing-core.ts'
import { ROUTING_LIMITS } from '../router/routing-limits.ts'
import { TableFixture } from '../routing-table/table.fixture.ts'
import type { MachineWaker } from '../wake/machine-waker.ts'
import { BackhaulDialer } from './dialer.ts'
import { Ear, FACTS } from './link-pair.fixture.ts'
import { ResetReason } from './link-stream.ts'
import { BackhaulServer } from './server.ts'
import { WorkerGate } from './worker-gate.ts'

const log = createLog({ part: 'proxy', level: 'fatal' })
const reach = (what: string, look: () => boolean) => pollUntil(what, look, { deadlineMs: 60_000 })
const portOf = (server: Server) => (server.address() as AddressInfo).port

/** A worker `h2` with machine m1 at a server of this process, an edge `h1`, and a path that can be held up. */
class Stage {
  readonly rows = new TableFixture('h2')
  readonly sockets = new Set<Socket>()
  readonly started: string[] = []
  readonly reachable: string[] = []
  readonly left: string[] = []
  readonly core: RoutingCore
  readonly worker: BackhaulServer
  readonly machine: Server
  edge: BackhaulDialer | undefined
  #path: Server | undefined
  #isHeld = false
  wake: MachineWaker['start'] = (machine, _deadlineMs, done) => {
    this.started.push(machine.id)
    this.rows.change(machine.id, { state: 'started' })
    done({ kind: 'ready' })
  }

  constructor(serve: (socket: Socket) => void) {
    this.core = new RoutingCore({
      table: this.rows.table,
      waker: { start: (...call) => this.wake(...call), stop: () => undefined },
      clock: systemClock,
      random: seededRandom(1),
      limits: ROUTING_LIMITS,
    })
    const gate = new WorkerGate(this.core)
    this.worker = new BackhaulServer({ ownHostId: 'h2', gate, clock: systemClock, log })
    this.machine = createServer({ allowHalfOpen: true }, (socket) => {
      this.sockets.add(socket)
      socket.on('error', () => undefined)
      serve(socket)
    })
  }

  async open(): Promise<this> {
    this.machine.listen(0, '127.0.0.1')
    await once(this.machine, 'listening')
    const workerPort = await this.worker.listen(0, '127.0.0.1')
    this.#path = createServer((near) => this.#relay(near, workerPort)).listen(0, '127.0.0.1')
    await once(this.#path, 'listening')
    this.rows.app('a')
    this.edge = new BackhaulDialer({
      ownHostId: 'h1',
      port: portOf(this.#path),
      clock: systemClock,
      random: systemRandom,
      log,
      reachable: (host, isReachable) => this.reachable.push(`${host} ${isReachable}`),
      measured: () => undefined,
      leaving: (host, machine) => this.left.push(`${host} ${machine}`),
    })
    return this
  }

  addMachine(id: string, state = 'started', service = {}): this {
    const internal = portOf(this.machine)
    const row = { internal_port: internal, ...service }
    this.rows.machine(id, 'a', 'h2', { state, service: row, ports: [{ port: 443 }] })
    this.rows.change(id, { private_ipv4: '127.0.0.1' })
    return this
  }

  /** A stream of the edge, with what it hears. */
  stream(more: Partial<typeof FACTS> = {}) {
    const ear = new Ear()
    const internalPort = more.internalPort ?? portOf(this.machine)
    const facts = { ...FACTS, ...more, internalPort }
    const stream = this.edge?.open('h2', '127.0.0.1', facts, ear)
    assert(stream, 'the host is unreachable')
    ear.data = (chunk) => {
      ear.chunks.push(chunk)
      ear.bytes += chunk.length
      if (ear.isConsuming) stream.consumed(chunk.length)
    }
    return { ear, ...stream }
  }

  /** Nothing gets through any more, and nobody is told: a cable is cut. */
  hold(): void {
    this.#isHeld = true
    for (const socket of this.sockets) if (socket.localPort !== portOf(this.machine)) socket.pause()
  }

  heal(): void {
    this.#isHeld = false
  }

  async close(): Promise<void> {
    this.edge?.close()
    await this.worker.close()
    for (const socket of this.sockets) socket.destroy()
    this.machine.close()
    this.#path?.close()
    this.core[Symbol.dispose]()
  }

  #relay(near: Socket, port: number): void {
    const far = connect({ host: '127.0.0.1', port })
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.sockets.add(from)
      from.on('error', () => to.destroy())
      from.on('close', () => to.destroy())
      from.on('data', (chunk) => {
        if (this.#isHeld) from.pause()
        else to.write(chunk)
      })
    }
  }
}

const echo = (socket: Socket) => void socket.pipe(socket)

test('bytes go to the machine and back, and half-closing works both ways', async () => {
  const stage = await new Stage(echo).open()
  stage.addMachine('m1')
  try {
    const { ear, send, end } = stage.stream()
    send(Buffer.from('hello '))
    await reach('the echo', () => ear.text === 'hello ')
    send(Buffer.from('world'))
    end()
    await reach('the end', () => ear.isEnded)
    assert.equal(ear.text, 'hello world')
    await reach(
      'the release',
      () => stage.core.table.machine('m1') !== undefined && load(stage) === 0,
    )
  } finally {
    await stage.close()
  }
})

const load = (stage: Stage) => [...(stage.rows.table.machine('m1')?.services ?? [])][0]?.inFlight

test('a whole exchange leaves its connection to the next one, another does not', async () => {
  const stage = await new Stage((socket) => {
    socket.on('data', () => socket.write('answer'))
  }).open()
  stage.addMachine('m1')
  try {
    for (let round = 0; round < 3; round += 1) {
      const { ear, send, end } = stage.stream()
      send(Buffer.from('request'))
      await reach('the answer', () => ear.text === 'answer')
      end(true)
      await reach('the end', () => ear.isEnded)
    }
    assert.equal(stage.worker.connections.idleCount, 1)
    const ports = [...stage.sockets].filter((s) => s.localPort === portOf(stage.machine))
    assert.equal(ports.length, 1, 'one connection for three exchanges')
  } finally {
    await stage.close()
  }
})

test('the worker refuses at the hard limit, and makes wait who has no other machine', async () => {
  const stage = await new Stage(echo).open()
  stage.addMachine('m1', 'started', { soft_limit: 1, hard_limit: 1 })
  try {
    const first = stage.stream()
    await reach('acceptance', () => first.ear.load === 1)
    const other = stage.stream({ hasAlternatives: true })
    await reach('refusal', () => other.ear.refusal === 'FULL')
    assert.equal(other.ear.load, 1)
    const waiting = stage.stream()
    waiting.send(Buffer.from('patience'))
    await reach('the line', () => stage.core.waitingCount === 1)
    first.end()
    await reach('its turn', () => waiting.ear.text === 'patience')
  } finally {
    await stage.close()
  }
})

test('a recently stopped machine is refused with PM11 to who has others, and woken for who has not', async () => {
  const stage = await new Stage(echo).open()
  stage.addMachine('m1')
  stage.rows.nowMs = systemClock.monotonicMs()
  stage.rows.change('m1', { state: 'stopped' })
  try {
    const other = stage.stream({ hasAlternatives: true })
    await reach('refusal', () => other.ear.refusal === 'PM11')
    assert.deepEqual(stage.started, [])
    const { ear, send } = stage.stream()
    send(Buffer.from('wake up'))
    await reach('the echo', () => ear.text === 'wake up')
    assert.deepEqual(stage.started, ['m1'])
    const gone = stage.stream({ machine: 'm9' })
    await reach('refusal', () => gone.ear.refusal === 'PR02')
  } finally {
    await stage.close()
  }
})

test('a machine that refuses connections is PC01, one that breaks is a reset', async () => {
  const stage = await new Stage((socket) => {
    socket.on('data', () => socket.resetAndDestroy())
  }).open()
  stage.addMachine('m1')
  try {
    const broken = stage.stream()
    broken.send(Buffer.from('x'))
    await reach('the reset', () => broken.ear.resetReason === ResetReason.broken)
    const port = portOf(stage.machine)
    await new Promise((resolve) => stage.machine.close(resolve))
    const refused = stage.stream({ internalPort: port })
    await reach('the refusal', () => refused.ear.refusal === 'PC01')
  } finally {
    await stage.close()
  }
})

test('64 MB cross while another stream is not read at all, within the windows', async () => {
  const total = 64 << 20
  const stage = await new Stage((socket) => {
    let left = total
    const fill = () => {
      for (; left > 0 && socket.write(Buffer.alloc(65_536, 7)); left -= 65_536);
      if (left <= 0) socket.end()
    }
    socket.on('drain', () => {
      left -= 65_536
      fill()
    })
    fill()
  }).open()
  stage.addMachine('m1')
  try {
    const stuck = stage.stream()
    stuck.ear.isConsuming = false
    const { ear, consumed } = stage.stream()
    ear.data = (chunk) => {
      ear.bytes += chunk.length
      consumed(chunk.length)
    }
    await reach('all bytes', () => ear.isEnded)
    assert.ok(ear.bytes >= total)
    assert.ok(stuck.ear.bytes <= 256 * 1024, 'no more than a window for who does not read')
  } finally {
    await stage.close()
  }
})

test('an edge with a link hears that a machine is about to be stopped', async () => {
  const stage = await new Stage(echo).open()
  try {
    stage.addMachine('m1')
    const { ear, send } = stage.stream()
    send(Buffer.from('x'))
    await reach('the echo', () => ear.text === 'x')
    stage.worker.tellLeaving('m1')
    await reach('the news', () => stage.left.includes('h2 m1'))
    assert.equal(ear.resetReason, undefined)
  } finally {
    await stage.close()
  }
})

test('a path that goes silent resets its streams, the host counts as unreachable, and comes back', async () => {
  const stage = await new Stage(echo).open()
  stage.addMachine('m1')
  try {
    const { ear, send } = stage.stream()
    send(Buffer.from('x'))
    await reach('the echo', () => ear.text === 'x')
    stage.hold()
    await reach('the end', () => ear.resetReason === ResetReason.linkDown)
    await reach('the news', () => stage.reachable.includes('h2 false'))
    assert.equal(stage.edge?.open('h2', '127.0.0.1', FACTS, new Ear()), undefined)
    stage.heal()
    await reach('the return', () => stage.reachable.at(-1) === 'h2 true')
    const again = stage.stream()
    again.send(Buffer.from('y'))
    await reach('the echo', () => again.ear.text === 'y')
  } finally {
    await stage.close()
  }
})

test('a path that is only watched is missed when it goes silent, and found again', async () => {
  const stage = await new Stage(echo).open()
  try {
    for (let times = 0; times < 3; times += 1) stage.edge?.watch('h2', '127.0.0.1')
    await reach('a link', () => stage.sockets.size > 0)
    assert.equal(stage.sockets.size, 2, 'both ends of one')
    stage.hold()
    await reach('the news', () => stage.reachable.includes('h2 false'))
    stage.heal()
    await reach('the return', () => stage.reachable.at(-1) === 'h2 true')
  } finally {
    await stage.close()
  }
})
