import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import test, { type TestContext } from 'node:test'
import { pollUntil } from '#base'
import { renderBirdConfig } from '#bird'
import { connect, type TrialHost, trialHost } from '../trial-host.fixture.ts'
import { Announcer } from './announcer.ts'
import { anycastPrefixes } from './anycast-prefixes.ts'
import { type BgpConfig, routerOf } from './bgp-config.ts'
import { BirdConfigFile } from './bird-config-file.ts'
import { startBird } from './trial-bird.fixture.ts'

const PREFIX = '203.0.113.0/24'
/** Longer than any wait of this test: what goes before it goes by BFD. */
const HOLD_S = 600
const DEADLINE = { deadlineMs: 60_000 }
const BFD = { min_rx_ms: 100, min_tx_ms: 100, multiplier: 5 }

/** Both interfaces stay up; no packet comes in at either end. */
const CUT = `nft -f - <<'END'
table inet cut { chain in { type filter hook input priority 0; iifname "cable" drop; }; }
END`

function bgp(own: string, other: string, [asn, otherAsn]: readonly [number, number]): BgpConfig {
  const neighbour = { address: other, local: own, asn: otherAsn, bfd: BFD }
  return { config: '', router_id: own, asn, hold_s: HOLD_S, neighbours: [neighbour] }
}

async function edgeAndRouter(t: TestContext): Promise<[TrialHost, TrialHost]> {
  const [edge, router] = [await trialHost(t), await trialHost(t)]
  await connect(edge, router, 'cable')
  await edge.shell('ip address add 192.0.2.0/31 dev cable')
  await router.shell('ip address add 192.0.2.1/31 dev cable')
  return [edge, router]
}

test('a link that is cut without a word is found out by BFD, long before the hold time, and used again when it is back', async (t) => {
  const [edge, router] = await edgeAndRouter(t)
  const prefixes = anycastPrefixes([PREFIX], [PREFIX])
  const theirs = routerOf(bgp('192.0.2.1', '192.0.2.0', [64501, 64500]), [])
  const [neighbour] = theirs.neighbours
  assert(neighbour !== undefined)
  const taking = { ...neighbour, imports: 'everything', exports: 'nothing' } as const
  const far = await startBird(router, renderBirdConfig({ ...theirs, neighbours: [taking] }))
  const near = await startBird(edge, 'router id 192.0.2.0;\nprotocol device {}\n')
  const ours = routerOf(bgp('192.0.2.0', '192.0.2.1', [64500, 64501]), prefixes)
  const { bird } = near
  const announce = () => {
    const config = new BirdConfigFile(near.configPath, renderBirdConfig(ours))
    return new Announcer({ bird, prefixes, config, isHealthy: async () => true })
  }
  let announcer = announce()
  t.after(() => announcer.close())

  const isSeen = async () => {
    const { lines } = await far.bird.command('show route')
    return lines.some(({ text }) => text.includes(PREFIX))
  }
  const isUp = async () => (await announcer.status()).bfd[0]?.state === 'Up'
  const comes = async () => {
    await pollUntil('the prefix at the neighbour', isSeen, DEADLINE)
    await pollUntil('BFD', isUp, DEADLINE)
  }
  await comes()
  const { bgp: sessions, bfd } = await announcer.status()
  assert.deepEqual([sessions[0]?.name, sessions.length], ['neighbour_0', 1])
  assert.deepEqual([bfd[0]?.address, bfd[0]?.interface], ['192.0.2.1', 'cable'])

  const since = async () =>
    (await bird.command('show protocols anycast_0')).lines.map(({ text }) => text)
  const before = await since()
  await announcer.close()
  announcer = announce()
  await pollUntil('the next announcer', () => announcer.phase === 'announced', DEADLINE)
  await announcer.undrain() // tells BIRD all that there is to tell
  assert.deepEqual(await since(), before, 'nothing was withdrawn')

  await Promise.all([edge.shell(CUT), router.shell(CUT)])
  const cutMs = performance.now()
  const isGone = async () => !(await isSeen())
  await pollUntil('the loss of the prefix', isGone, { ...DEADLINE, intervalMs: 10 })
  const goneMs = performance.now() - cutMs
  t.diagnostic(`gone after ${goneMs.toFixed(0)} ms; the hold time is ${HOLD_S} s`)
  const isDown = async () => (await announcer.status()).bgp[0]?.info !== 'Established'
  await pollUntil('the loss at the other end', isDown, DEADLINE)
  assert.match(await edge.shell('ip -o link show cable'), /state UP/)

  await Promise.all([edge, router].map((host) => host.shell('nft delete table inet cut')))
  await comes()
})

test('BIRD reads a file that changed, and one that it refuses leaves the old one', async (t) => {
  const host = await trialHost(t)
  const { bird, configPath, end } = await startBird(
    host,
    'router id 192.0.2.0;\nprotocol device {}\n',
  )
  const changed = 'router id 192.0.2.0;\nprotocol device devices {}\n'
  await new BirdConfigFile(configPath, changed).apply(bird)
  assert.deepEqual(
    (await bird.protocols()).map(({ name }) => name),
    ['devices'],
  )
  const wrong = new BirdConfigFile(configPath, 'router id nonsense;')
  for (let again = 0; again < 2; again += 1) {
    await assert.rejects(wrong.apply(bird), { code: 'bird.refused' })
    assert.equal(readFileSync(configPath, 'utf8'), changed)
  }
  await end()
  const late = 'router id 192.0.2.0;\nprotocol device later {}\n'
  await assert.rejects(new BirdConfigFile(configPath, late).apply(bird), {
    code: 'bird.unreachable',
  })
  assert.equal(readFileSync(configPath, 'utf8'), late)
})

test('what is no address never gets into the configuration of BIRD', () => {
  const good = bgp('192.0.2.0', '192.0.2.1', [64500, 64501])
  const [neighbour] = good.neighbours
  assert(neighbour !== undefined)
  const wrong: Partial<BgpConfig>[] = [
    { router_id: '192.0.2.0; }' },
    { router_id: '2001:db8::1' },
    { neighbours: [{ ...neighbour, address: '192.0.2.1 as 1' }] },
    { neighbours: [{ ...neighbour, local: '2001:db8::1' }] },
    { neighbours: [{ ...neighbour, local: '' }] },
  ]
  for (const change of wrong) {
    assert.throws(() => routerOf({ ...good, ...change }, []), { code: 'net6.address_bad' })
  }
})
