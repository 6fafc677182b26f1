/**
 * What every Transport promises, as tests over a cluster of three that each implementation provides.
 */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { BiSession, Transport } from './transport.ts'

/** One node of the cluster, with all that its handlers were given. */
export interface Witness {
  readonly transport: Transport
  readonly datagrams: { readonly text: string; readonly from: string }[]
  readonly frames: { readonly text: string; readonly from: string }[]
  readonly sessions: BiSession[]
}

export interface ContractCluster {
  readonly nodes: readonly [Witness, Witness, Witness]
  /** Lets time pass until it is true. @throws when it does not come true */
  until(what: string, isSo: () => boolean): Promise<void>
  /** Ends a node without a word, and brings another up under its address. */
  replace(index: number): Promise<Witness>
  /** An address of the cluster where nobody is. */
  readonly nobody: string
  close(): Promise<void>
}

export const framed = (text: string): Buffer => {
  const payload = Buffer.from(text)
  const head = Buffer.alloc(4)
  head.writeUInt32BE(payload.length)
  return Buffer.concat([head, payload])
}

export function transportContract(name: string, open: () => Promise<ContractCluster>): void {
  const promise = (what: string, run: (cluster: ContractCluster) => Promise<void>) =>
    test(`${name}: ${what}`, { timeout: 60_000 }, async (context: TestContext) => {
      const cluster = await open()
      context.after(() => cluster.close())
      await run(cluster)
    })

  promise('a datagram reaches each peer and says whom it is from', async ({ nodes, until }) => {
    for (const one of nodes) {
      for (const other of nodes) {
        if (one === other) continue
        assert(one.transport.sendDatagram(other.transport.address, Buffer.from('ping')))
        const from = one.transport.address
        await until('the datagram is there', () => other.datagrams.some((it) => it.from === from))
      }
    }
    assert.deepEqual(
      nodes.map(({ datagrams }) => datagrams.map(({ text }) => text)),
      nodes.map(() => ['ping', 'ping']),
    )
  })

  promise('frames to a peer arrive whole and in order', async ({ nodes, until }) => {
    const [a, b, c] = nodes
    const texts = Array.from({ length: 500 }, (_, at) => `${at}:${'x'.repeat(at * 7)}`)
    for (const text of texts) {
      assert(a.transport.sendUni(b.transport.address, framed(text)))
      assert(c.transport.sendUni(b.transport.address, framed(text)))
    }
    await until('all frames are there', () => b.frames.length === 2 * texts.length)
    for (const { transport } of [a, c]) {
      const received = b.frames.filter(({ from }) => from === transport.address)
      assert.deepEqual(
        received.map(({ text }) => text),
        texts,
      )
    }
    assert.equal(b.transport.counters.framesReceived, 2 * texts.length)
  })

  promise(
    'a session carries frames both ways until both have finished',
    async ({ nodes, until }) => {
      for (const [from, to] of [
        [nodes[0], nodes[1]],
        [nodes[1], nodes[0]],
        [nodes[2], nodes[0]],
      ] as const) {
        const sessionsBefore = to.sessions.length
        const client = await from.transport.openBi(to.transport.address)
        await client.send(framed('question'))
        await until('the session is accepted', () => to.sessions.length > sessionsBefore)
        const server = to.sessions.at(-1)
        assert(server !== undefined)
        assert.equal(server.peer, from.transport.address)
        assert.equal(String(await server.receive()), 'question')
        const answer = client.receive()
        await server.send(framed('a'.repeat(600_000)))
        server.finish()
        assert.equal(String(await answer).length, 600_000)
        assert.equal(await client.receive(), null)
        client.finish()
        assert.equal(await server.receive(), null)
      }
    },
  )

  promise('a peer that stops reading holds the sender back until its deadline', async (cluster) => {
    const [a, b] = cluster.nodes
    const session = await a.transport.openBi(b.transport.address)
    let taken = 0
    const send = async () => {
      for (; taken < 500; taken += 1) {
        await session.send(framed('x'.repeat(64 * 1024)), { deadlineMs: 300 })
      }
    }
    await assert.rejects(send(), { code: 'transport.deadline_exceeded' })
    assert(taken <= 16, `${taken} frames of 64 KiB were taken that nobody read`)
    await assert.rejects(session.send(framed('more')), { code: 'transport.deadline_exceeded' })
    const accepted = b.sessions[0]
    assert(accepted !== undefined)
    const drain = async () => {
      while ((await accepted.receive()) !== null);
    }
    await assert.rejects(drain(), { code: 'transport.session_reset' })
    assert(a.transport.sendUni(b.transport.address, framed('on')))
    await cluster.until('frames still arrive', () => b.frames.length === 1)
  })

  promise(
    'waiting for a peer that says nothing ends at its deadline, or by signal',
    async (cluster) => {
      const [a, b] = cluster.nodes
      const late = await a.transport.openBi(b.transport.address)
      const isLate = { code: 'transport.deadline_exceeded' }
      await assert.rejects(late.receive({ deadlineMs: 50 }), isLate)
      await assert.rejects(late.receive(), isLate)
      const given = await a.transport.openBi(b.transport.address)
      const abort = new AbortController()
      const waiting = given.receive({ signal: abort.signal })
      abort.abort(new Error('enough'))
      await assert.rejects(waiting, /enough/)
      late.reset()
      given.reset()
    },
  )

  promise('a session that one side resets ends for the other', async ({ nodes, until }) => {
    const [a, b] = nodes
    const client = await a.transport.openBi(b.transport.address)
    await client.send(framed('hello'))
    await until('the session is accepted', () => b.sessions.length === 1)
    b.sessions[0]?.reset()
    await assert.rejects(client.receive(), { code: 'transport.session_reset' })
  })

  promise(
    'where nobody is, datagrams and frames are dropped and sessions refused',
    async (cluster) => {
      const [a] = cluster.nodes
      const { counters } = a.transport
      a.transport.sendDatagram(cluster.nobody, Buffer.from('x'))
      a.transport.sendUni(cluster.nobody, framed('x'))
      await assert.rejects(a.transport.openBi(cluster.nobody, { deadlineMs: 500 }))
      await cluster.until('the frame is counted', () => counters.framesDropped === 1)
    },
  )

  promise(
    'what is too long or too much is dropped, counted, and said',
    async ({ nodes, nobody }) => {
      const [a, b] = nodes
      assert.equal(a.transport.sendDatagram(b.transport.address, Buffer.alloc(1_201)), false)
      assert.equal(a.transport.counters.datagramsDropped, 1)
      const frame = framed('x'.repeat(1024 * 1024))
      const answers = Array.from({ length: 100 }, () => a.transport.sendUni(nobody, frame))
      assert(answers.includes(true) && answers.includes(false))
      assert.equal(a.transport.counters.framesDropped, answers.filter((it) => !it).length)
    },
  )

  promise('a peer that was killed and started again is reached again', async (cluster) => {
    const [a, b] = cluster.nodes
    const { address } = b.transport
    a.transport.sendUni(address, framed('before'))
    await cluster.until('the first life hears it', () => b.frames.length === 1)
    const session = await a.transport.openBi(address)
    const next = await cluster.replace(1)
    assert.equal(next.transport.address, address)
    await cluster.until('the next life hears a datagram and a frame', () => {
      a.transport.sendDatagram(address, Buffer.from('again'))
      a.transport.sendUni(address, framed('again'))
      return next.datagrams.length > 0 && next.frames.length > 0
    })
    await assert.rejects(session.receive({ deadlineMs: 10_000 }))
    const fresh = await a.transport.openBi(address)
    await fresh.send(framed('and sessions'))
    await cluster.until('the next life has the session', () => next.sessions.length === 1)
  })

  promise(
    'a transport that was closed refuses everything, and may be closed again',
    async ({ nodes }) => {
      const [a, b] = nodes
      const session = await a.transport.openBi(b.transport.address)
      const waiting = session.receive()
      await Promise.all([
        assert.rejects(waiting, { code: 'transport.closed' }),
        a.transport.close(),
      ])
      assert.equal(a.transport.sendDatagram(b.transport.address, Buffer.from('x')), false)
      assert.equal(a.transport.sendUni(b.transport.address, framed('x')), false)
      await assert.rejects(a.transport.openBi(b.transport.address), { code: 'transport.closed' })
      await a.transport.close()
    },
  )
}
