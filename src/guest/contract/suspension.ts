import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { pollUntil } from '#base'
import { type Agent, connectAgent } from '../agent/agent.ts'
import { type Bench, STATE_MS } from './bench.ts'
import { run } from './trial-machine.ts'
import { TrialNetwork } from './trial-network.ts'

/** A machine stands still and goes on. */
export function testSuspension(bench: Bench): void {
  test('a suspended machine goes on where it was', async (t) => {
    const script = 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done'
    const { spec, guest, agent } = await run(t, bench, script)
    // Far enough that what was said, and is perhaps said again, does not look like a new beginning.
    for await (const line of createInterface({ input: agent.stdout })) if (line === '5') break
    agent.stdout.resume()
    await guest.suspend()
    assert.equal((await guest.ended).cause, 'suspended')
    assert.deepEqual(await bench.runtime().list(), [{ id: spec.id, state: 'suspended' }])
    assert.equal(await bench.runtime().adopt(spec.id), undefined)
    using again = await bench.runtime().resume(spec.id)
    const next = await connectAgent(await again.openChannel())
    t.after(() => next.close())
    await next.setClock(Date.now())
    assert.deepEqual(next.entrypoint, { phase: 'running', runCount: 1 })
    const [bytes] = (await once(next.stdout, 'data')) as [Buffer]
    assert.ok(Number(bytes.toString().split('\n')[0]) > 1, 'it counted on')
    await assert.rejects(bench.runtime().resume(spec.id), { code: 'guest.not_suspended' })
  })

  test('a connection through the network of a machine lives through its suspension', async (t) => {
    using network = new TrialNetwork(bench.subject.isVirtual)
    const script =
      'mkfifo /root/in; nc -l -p 7777 </root/in | while read x; do echo "got $x"; done >/root/in'
    const { config } = network
    const { spec, guest, agent } = await run(t, bench, script, { network: network.spec, config })
    await waitForListener(agent)
    const peer = network.connect(7777)
    t.after(() => peer.kill())
    const iterator = createInterface({ input: peer.stdout })[Symbol.asyncIterator]()
    const lines = async () => (await iterator.next()).value
    peer.stdin.write('one\n')
    assert.equal(await lines(), 'got one')
    await guest.suspend()
    peer.stdin.write('while it stood still\n')
    using again = await bench.runtime().resume(spec.id)
    assert.equal(await lines(), 'got while it stood still')
    peer.stdin.write('two\n')
    assert.equal(await lines(), 'got two')
    await again.kill()
  })
}

/** /proc/net/tcp has a line for each socket; 0A is a listener. */
async function waitForListener(agent: Agent): Promise<void> {
  const look = async () => {
    const seen = await agent.exec({ argv: ['/bin/cat', '/proc/net/tcp', '/proc/net/tcp6'] })
    seen.stderr.resume()
    return / 0A /.test(await text(seen.stdout))
  }
  await pollUntil('the server in the machine', look, { deadlineMs: STATE_MS })
}
