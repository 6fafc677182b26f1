import assert from 'node:assert/strict'
import test from 'node:test'
import { seededRandom } from '#base'
import { testSeed } from '#property'
import { exchange, startProxy } from '../proxy.fixture.ts'
import { handMade, randomCase } from './corpus.ts'
import { startHaproxy, startNginx } from './peers.ts'
import { manners, type ReadRequest, readRequests } from './reader.ts'
import { type Recorder, startRecorder } from './recorder.ts'

const RANDOM_CASES = 4000
const CASE_DEADLINE_MS = 15_000
const LANES = 16
/** Nothing came for so long: our direction ends. */
const QUIET_MS = 30
const SLOW_MS = 1000

/** What one proxy made of one case. */
interface Seen {
  /** Per connection to the machine. */
  readonly forwarded: readonly string[]
  readonly statuses: readonly number[]
}

async function send(
  text: string,
  port: number,
  recorder: Recorder,
  quietMs: number,
): Promise<Seen> {
  const answer = await exchange(port, text, { quietMs, deadlineMs: CASE_DEADLINE_MS })
  await new Promise((resolve) => setImmediate(resolve)) // the machine's side has read by then
  const statuses = [...answer.matchAll(/HTTP\/1\.[01] (\d{3}) /g)].map(([, status]) =>
    Number(status),
  )
  return { forwarded: recorder.take(), statuses: statuses.filter((status) => status >= 200) }
}

const byTheBook = manners[0] as (typeof manners)[number]
const requestsIn = ({ forwarded }: Seen): readonly ReadRequest[] =>
  forwarded.flatMap((text) => readRequests(text, byTheBook).requests)

/** Whatever manner a machine has, it reads the same; and no octet stands where it must not. */
function checkUnambiguous(seen: Seen): void {
  for (const text of seen.forwarded) {
    const [first, ...others] = manners.map((manner) => readRequests(text, manner))
    for (const other of others) assert.deepEqual(other, first, 'two manners read it differently')
    for (const { fields, line } of first?.requests ?? []) {
      const count = (name: string) =>
        fields.filter(([one]) => one.replaceAll('_', '-') === name).length
      assert.equal(count('host'), 1, line)
      assert(count('content-length') + count('transfer-encoding') <= 1, line)
      assert.equal(count('fly-client-ip'), 1, line)
      for (const [name, value] of fields) {
        // The corpus forges this field, and cuts letters out of its name too: another name says nothing.
        const saysClient = name.replaceAll('_', '-') === 'fly-client-ip'
        assert(!saysClient || !value.includes('6.6.6.6'), 'a forged address came through')
        assert.match(name, /^[!#$%&'*+.^_`|~0-9a-z-]+$/)
        assert.match(value, /^[\t\x20-\x7e\x80-\xff]*$/)
      }
    }
  }
}

/** A peer that forwarded all it answered has seen exactly so many requests: we may not see more. */
function checkAgainst(peer: Seen, name: string, ours: Seen): void {
  const theirs = requestsIn(peer)
  if (theirs.length === 0 || theirs.length !== peer.statuses.length) return
  assert(
    requestsIn(ours).length <= theirs.length,
    `${name} saw ${theirs.length} requests, we ${requestsIn(ours).length}`,
  )
  const bodies = (requests: readonly ReadRequest[]) => requests.map(({ body }) => body)
  for (const [index, body] of bodies(requestsIn(ours)).entries()) {
    assert.equal(body, bodies(theirs)[index], `${name} saw another body`)
  }
}

/** One path through each proxy, to a machine of its own. */
interface Lane {
  readonly proxies: readonly {
    readonly name: string
    readonly port: number
    readonly recorder: Recorder
  }[]
}

async function openLanes(stack: AsyncDisposableStack): Promise<Lane[]> {
  const open = async () => stack.use(await startRecorder())
  const recorders = await Promise.all(
    Array.from({ length: LANES }, () => Promise.all([open(), open(), open()])),
  )
  const nginx = stack.use(await startNginx(recorders.map(([, one]) => one.port)))
  const haproxy = stack.use(await startHaproxy(recorders.map(([, , one]) => one.port)))
  return recorders.map(([ours, theirs, others], lane) => {
    const proxy = stack.use(startProxy({ machines: [ours.port] }))
    return {
      proxies: [
        { name: 'ours', port: proxy.port, recorder: ours },
        { name: 'nginx', port: nginx.ports[lane] ?? 0, recorder: theirs },
        { name: 'haproxy', port: haproxy.ports[lane] ?? 0, recorder: others },
      ],
    }
  })
}

/** Sends one case through all three. @throws AssertionError when ours saw more, or something else. */
async function tryCase(text: string, lane: Lane, quietMs: number): Promise<Seen> {
  const seen = await Promise.all(
    lane.proxies.map(({ port, recorder }) => send(text, port, recorder, quietMs)),
  )
  const [ours, byNginx, byHaproxy] = seen as [Seen, Seen, Seen]
  try {
    checkUnambiguous(ours)
    checkAgainst(byNginx, 'nginx', ours)
    checkAgainst(byHaproxy, 'haproxy', ours)
  } catch (error) {
    // On a busy machine a peer may not have come to its second request yet: look once more, slowly.
    if (quietMs < SLOW_MS) return tryCase(text, lane, SLOW_MS)
    console.error(JSON.stringify({ case: text, ours, byNginx, byHaproxy }, undefined, 1))
    throw error
  }
  return ours
}

test(`no request is two requests, and none hides a header (replay: SEED=${testSeed})`, {
  timeout: 300_000,
}, async () => {
  await using stack = new AsyncDisposableStack()
  const lanes = await openLanes(stack)
  const random = seededRandom(testSeed)
  const cases = [...handMade(), ...Array.from({ length: RANDOM_CASES }, () => randomCase(random))]
  let forwardedCount = 0
  let refusedCount = 0
  await Promise.all(
    lanes.map(async (lane) => {
      for (let text = cases.pop(); text !== undefined; text = cases.pop()) {
        const ours = await tryCase(text, lane, QUIET_MS)
        forwardedCount += requestsIn(ours).length
        refusedCount += ours.statuses.filter((status) => status >= 400).length
      }
    }),
  )
  assert(forwardedCount > 300, `only ${forwardedCount} requests were forwarded: this tests nothing`)
  assert(refusedCount > 1000, `only ${refusedCount} requests were refused: this tests nothing`)
})
