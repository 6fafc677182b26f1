import assert from 'node:assert/strict'
import type { Server, Socket } from 'node:net'
import { Duplex, duplexPair } from 'node:stream'
import test from 'node:test'
import { createLog, pollUntil, systemClock } from '#base'
import { SshPort, type SshPortLimits } from './ssh-port.ts'

const log = createLog({ part: 'flyd', level: 'silent', format: 'json' })
const DEADLINE = { deadlineMs: 20_000, intervalMs: 1 }
const MACHINE = 'fdaa:0:7:a7b:1:3333:4444:2'
const GONE = 'fdaa:0:7:a7b:1:5555:6666:2'
const from = (number: number, network = 7) => `fdaa:0:${network}:a7b:2:${number}:1:2`
const LIMITS: SshPortLimits = {
  sources: { connections: 6, perNetwork: 5, perMachine: 2 },
  ...{ perTarget: 4, perSecond: 0, atOnce: 3 },
}

const WIDE: SshPortLimits = {
  ...{ ...LIMITS, perTarget: 100 },
  sources: { connections: 100, perNetwork: 100, perMachine: 100 },
}

/** As the kernel gives it. */
class Connection extends Duplex {
  readonly remoteAddress: string
  readonly localAddress: string
  isReset = false

  constructor(remoteAddress: string, localAddress: string) {
    super({ allowHalfOpen: true })
    this.remoteAddress = remoteAddress
    this.localAddress = localAddress
  }

  override _read(): void {
    // nothing comes
  }

  override _write(_bytes: Buffer, _encoding: string, done: () => void): void {
    done()
  }

  setKeepAlive(): void {
    // it has none
  }

  setNoDelay(): void {
    // it has none
  }

  resetAndDestroy(): void {
    this.isReset = true
    this.destroy()
  }
}

async function port(limits: SshPortLimits = LIMITS) {
  const asked: (string | undefined)[] = []
  let take: (socket: Socket) => void = () => undefined
  const machine = (id: string, privateIp: string, state: string) => ({ id, privateIp, state })
  const opened = await SshPort.open({
    listen: async (onConnection) => {
      take = onConnection
      return { listening: false } as Server
    },
    host: {
      async connect(id, options) {
        asked.push(options.from)
        assert.deepEqual([id, options.port], ['m1', 22])
        return duplexPair()[0]
      },
    },
    view: {
      machines: () =>
        [machine('m0', GONE, 'destroyed'), machine('m1', MACHINE, 'started')] as never,
    },
    ...{ limits, clock: systemClock, log },
  })
  const connect = (source: string, target = MACHINE) => {
    const connection = new Connection(source, target)
    take(connection as unknown as Socket)
    return connection
  }
  const handedOn = (count: number) =>
    pollUntil('it to be handed on', () => opened.outcomes.handed_on === count, DEADLINE)
  return { opened, asked, connect, handedOn }
}

test('a connection is one to the machine that has its address, and its opener is told', async () => {
  const { opened, asked, connect, handedOn } = await port()
  connect(from(1))
  await handedOn(1)
  assert.deepEqual(asked, [from(1)])
  assert.ok(connect(from(1), GONE).isReset, 'of a machine that is gone')
  assert.ok(connect(from(1), from(9)).isReset, 'of none that was here')
  assert.deepEqual(opened.outcomes, {
    ...{ handed_on: 1, no_machine: 2, too_many: 0, too_often: 0, failed: 0 },
  })
  await opened[Symbol.asyncDispose]()
  await pollUntil('their end', () => opened.open === 0, DEADLINE)
})

test('one machine, one network and one target have so many open at a time, and get them back', async () => {
  const { opened, connect, handedOn } = await port({ ...LIMITS, atOnce: 100 })
  const [first] = [connect(from(1)), connect(from(1))] as const
  assert.ok(connect(from(1)).isReset, 'of one source')
  connect(from(2))
  connect(from(2))
  await handedOn(4)
  assert.ok(connect(from(3)).isReset, 'to one target')
  assert.equal(opened.outcomes.too_many, 2)
  const closed = new Promise((done) => first.once('close', done))
  first.destroy()
  await closed
  connect(from(3))
  await handedOn(5)
  await opened[Symbol.asyncDispose]()
})

test('new connections come at a rate: of one source, and of a network with many', async () => {
  const { opened, connect } = await port({ ...WIDE, atOnce: 2 })
  const reset = (source: string) => {
    const connection = connect(source)
    connection.destroy()
    return connection.isReset
  }
  assert.deepEqual(
    [1, 1, 1].map((number) => reset(from(number))),
    [false, false, true],
  )
  // Its other addresses are no other source.
  assert.ok(reset(from(1).replace(/2$/, '7')))
  assert.equal([2, 3, 4, 5, 6, 7, 8, 9].filter((number) => !reset(from(number))).length, 6)
  assert.equal(reset(from(1, 8)), false, 'another network has its own')
  assert.deepEqual([opened.outcomes.too_often, opened.outcomes.too_many], [4, 0])
})

test('a port that is taken ends nothing', async () => {
  const opened = await SshPort.open({
    listen: () => Promise.reject(new Error('taken')),
    host: { connect: () => Promise.reject(new Error('nobody asks')) },
    view: { machines: () => [] },
    ...{ clock: systemClock, log },
  })
  assert.equal(opened.open, 0)
  await opened[Symbol.asyncDispose]()
})
