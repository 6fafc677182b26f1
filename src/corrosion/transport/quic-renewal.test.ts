import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { generateClusterCa } from '#trust'
import type { ClusterTls } from './quic-config.ts'
import {
  newClusterTls,
  newJoinedTls,
  openQuicWitness,
  openRelay,
  type QuicWitness,
  until,
} from './quic-witness.fixture.ts'
import { framed } from './transport-contract.ts'

const [oldCa, newCa] = [await generateClusterCa(), await generateClusterCa()]
const bundle = oldCa.certificatePem + newCa.certificatePem
const ofOld = await newClusterTls(oldCa)
const ofNew = await newClusterTls(newCa)
const joinedOld = await newJoinedTls(oldCa)
const joinedNew = await newJoinedTls(newCa)
/** While both authorities are trusted. */
const both = (tls: ClusterTls): ClusterTls => ({ ...tls, caPem: bundle })

async function openNode(context: TestContext, tls: ClusterTls): Promise<QuicWitness> {
  const node = await openQuicWitness('127.0.0.1:0', tls)
  context.after(() => node.transport.close())
  return node
}

const isFrom = (node: QuicWitness) => (one: { from: string }) => one.from === node.transport.address
const isRefused = { code: 'transport.peer_refused' }

/** One frame there and one back, over the link that the first has or makes. */
async function assertTheyTalk(one: QuicWitness, other: QuicWitness): Promise<void> {
  const answered = [one, other].map(({ frames }) => frames.length)
  one.transport.sendUni(other.transport.address, framed('there'))
  await until('it is heard', () => other.frames.slice(answered[1]).some(isFrom(one)))
  other.transport.sendUni(one.transport.address, framed('and back'))
  await until('the answer is heard', () => one.frames.slice(answered[0]).some(isFrom(other)))
}

/** What a session is told, on both sides of whose connection all is well until somebody refuses it. */
async function speak(from: QuicWitness, to: string): Promise<void> {
  const session = await from.transport.openBi(to)
  await session.send(framed('question'))
  await session.receive()
}

/** Numbered frames between all of them, both ways, a few each millisecond. */
class Traffic {
  readonly #nodes: readonly QuicWitness[]
  readonly #sent = new Map<string, string[]>()
  #timer: NodeJS.Timeout | undefined
  #next = 0

  constructor(context: TestContext, nodes: readonly QuicWitness[]) {
    this.#nodes = nodes
    context.after(() => clearInterval(this.#timer))
  }

  start(): void {
    this.#timer = setInterval(() => {
      const text = String(this.#next++)
      for (const [from, to] of this.#pairs()) {
        if (from.transport.sendUni(to.transport.address, framed(text))) {
          this.#sentBy(from, to).push(text)
        }
      }
    }, 1)
  }

  /** Each hears something from each other that was sent after now. */
  async goesOn(during: string): Promise<void> {
    const since = this.#next
    await until(`frames both ways ${during}`, () =>
      this.#pairs().every(([from, to]) => {
        const last = to.frames.findLast(isFrom(from))
        return last !== undefined && Number(last.text) >= since
      }),
    )
  }

  /** Stops. @returns how many of all that were sent did not come; those that came are in order */
  async stop(): Promise<number> {
    clearInterval(this.#timer)
    let lost = 0
    for (const [from, to] of this.#pairs()) {
      const sent = this.#sentBy(from, to)
      await until(
        'the last one is there',
        () => to.frames.findLast(isFrom(from))?.text === sent.at(-1),
      )
      const heard = to.frames.filter(isFrom(from)).map(({ text }) => text)
      const came = new Set(heard)
      assert.deepEqual(
        heard,
        sent.filter((text) => came.has(text)),
      )
      lost += sent.length - heard.length
      sent.length = 0
    }
    for (const { frames } of this.#nodes) frames.length = 0
    return lost
  }

  #pairs(): (readonly [QuicWitness, QuicWitness])[] {
    return this.#nodes.flatMap((from) =>
      this.#nodes.filter((to) => to !== from).map((to) => [from, to] as const),
    )
  }

  #sentBy(from: QuicWitness, to: QuicWitness): string[] {
    const key = `${from.transport.address} ${to.transport.address}`
    const known = this.#sent.get(key) ?? []
    this.#sent.set(key, known)
    return known
  }
}

test('QUIC: nodes of two authorities of one name talk, where both trust both', async (context) => {
  for (const other of [ofNew, joinedNew]) {
    for (const [dialling, answering] of [
      [ofOld, other],
      [other, ofOld],
      [joinedOld, other],
    ] as const) {
      const one = await openNode(context, both(dialling))
      const two = await openNode(context, both(answering))
      await assertTheyTalk(one, two)
      assert.equal(one.transport.counters.connectionsOpened, 1)
    }
  }
})

test('QUIC: the authority of a cluster is changed under traffic, and nothing is lost before the old one is dropped', async (context) => {
  const [a, b, c] = [
    await openNode(context, ofOld),
    await openNode(context, joinedOld),
    await openNode(context, ofOld),
  ]
  const nodes = [a, b, c]
  const traffic = new Traffic(context, nodes)
  traffic.start()
  await traffic.goesOn('before anything')
  await traffic.stop() // both may dial at once: only one of two connections is kept
  const connections = () => nodes.map(({ transport }) => transport.counters.connectionsOpened)
  const before = connections()

  traffic.start()
  await traffic.goesOn('over the links that are up')
  for (const node of nodes) {
    node.transport.renewTls(both(node === b ? joinedOld : ofOld))
    await traffic.goesOn('while a node trusts both')
  }
  for (const node of nodes) {
    node.transport.renewTls(both(node === b ? joinedNew : ofNew))
    await traffic.goesOn('while a node shows new certificates')
  }
  assert.equal(await traffic.stop(), 0)
  assert.deepEqual(connections(), before)

  const renewed = await openNode(context, ofNew)
  for (const node of nodes) await assertTheyTalk(renewed, node)
  const late = await openNode(context, both(ofOld))
  await assertTheyTalk(late, a)
  await assertTheyTalk(b, late)
  const kept = await renewed.transport.openBi(a.transport.address)
  await kept.send(framed('before'))
  const ended = await late.transport.openBi(a.transport.address)
  await ended.send(framed('before'))
  await until('both sessions are there', () => a.sessions.length === 2)
  const ends = assert.rejects(ended.receive({ deadlineMs: 20_000 }), isRefused)

  for (const { frames } of nodes) frames.length = 0
  traffic.start()
  await traffic.goesOn('before the old one is dropped')
  for (const node of nodes) {
    node.transport.renewTls(node === b ? joinedNew : ofNew)
    await traffic.goesOn('while a node drops the old one')
  }
  await ends
  await until('links with the late one are closed', () =>
    [a, b].every((node) => node.transport.rttMs(late.transport.address) === undefined),
  )
  context.diagnostic(`frames lost with the links that were closed: ${await traffic.stop()}`)
  for (const [from, to] of [
    [late, a],
    [c, late],
  ] as const) {
    await assert.rejects(speak(from, to.transport.address), isRefused)
  }
  await kept.send(framed('after'))
  const session = a.sessions.find(({ peer }) => peer === renewed.transport.address)
  assert.equal(String(await session?.receive()), 'before')
  assert.equal(String(await session?.receive()), 'after')
  traffic.start()
  await traffic.goesOn('in the end')
  assert.equal(await traffic.stop(), 0)
})

test('QUIC: what waits for a peer that has new certificates already goes by the next connection', async (context) => {
  const [a, b] = [await openNode(context, both(ofOld)), await openNode(context, both(ofOld))]
  await assertTheyTalk(a, b)
  for (const node of [a, b]) node.transport.renewTls(both(ofNew))
  a.transport.sendUni(b.transport.address, framed('waits'))
  a.transport.renewTls(ofNew)
  await until('it is heard', () => b.frames.some(({ text }) => text === 'waits'))
  assert.equal(a.transport.counters.connectionsOpened, 2)
  assert.equal(a.transport.counters.framesDropped, 0)
})

test('QUIC: an authority that is dropped while a connection is made does not count for it', async (context) => {
  const a = await openNode(context, both(ofNew))
  const late = await openNode(context, both(ofOld))
  const speaking = speak(a, late.transport.address)
  a.transport.renewTls(ofNew)
  await assert.rejects(speaking, isRefused)
  a.transport.renewTls(both(ofNew))
  let packets = 0
  const relay = await openRelay(a.transport.address, (isToTarget) => {
    if (isToTarget && ++packets === 2) a.transport.renewTls(ofNew) // the first has been answered
    return true
  })
  context.after(() => relay.close())
  await assert.rejects(speak(late, relay.address), isRefused)
  assert.equal(a.transport.counters.connectionsOpened, 0)
})

test('QUIC: TLS files that do not belong together are refused, and all goes on as before', async (context) => {
  const [a, b] = [await openNode(context, ofOld), await openNode(context, ofOld)]
  await assertTheyTalk(a, b)
  const [leafOnly = ''] = joinedOld.server.certificatePem.split(/(?<=END CERTIFICATE-----\n)/)
  const bad: Record<string, ClusterTls> = {
    'no CA': { ...ofOld, caPem: '' },
    'a CA that is cut': { ...ofOld, caPem: bundle.slice(0, -60) },
    'certificates of another CA': { ...ofOld, caPem: ofNew.caPem },
    'one certificate of another CA': { ...ofOld, client: ofNew.client },
    'a key of another certificate': {
      ...ofOld,
      server: { ...ofOld.server, privateKeyPem: ofOld.client.privateKeyPem },
    },
    'no key': { ...ofOld, client: { ...ofOld.client, privateKeyPem: 'none' } },
    'no certificate': { ...ofOld, client: { ...ofOld.client, certificatePem: 'none' } },
    'certificates for each other’s purpose': { ...ofOld, server: ofOld.client },
    'no joining authority after the leaf': {
      ...joinedOld,
      server: { ...joinedOld.server, certificatePem: leafOnly },
    },
  }
  for (const [what, tls] of Object.entries(bad)) {
    assert.throws(() => a.transport.renewTls(tls), { code: 'transport.certificate_bad' }, what)
    await assertTheyTalk(a, b)
  }
  assert.equal(a.transport.counters.connectionsOpened, 1)
  await assertTheyTalk(await openNode(context, ofOld), a)
  await assertTheyTalk(a, await openNode(context, joinedOld))
  await a.transport.close()
  assert.throws(() => a.transport.renewTls(ofOld), { code: 'transport.closed' })
})
