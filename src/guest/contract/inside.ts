import assert from 'node:assert/strict'
import { buffer, text } from 'node:stream/consumers'
import { test } from 'node:test'
import { pollUntil, systemRandom } from '#base'
import { type Bench, STATE_MS } from './bench.ts'
import { outcome } from './outcome.ts'
import { run } from './trial-machine.ts'

/** What goes on in a machine while it runs, and what the host sees of it. */
export function testInside(bench: Bench): void {
  test('orphans are reaped', async (t) => {
    const script = 'for i in 1 2 3 4 5; do sh -c "sleep 0.05 & sleep 0.05 &"; done; sleep 1000'
    const { agent } = await run(t, bench, script)
    const look = 'ps -o stat,comm | grep -c "^Z" ; ps -o comm | grep -c sleep'
    await pollUntil(
      'the orphans to be gone',
      async () => {
        const seen = await agent.exec({ argv: ['/bin/sh', '-c', look] })
        seen.stderr.resume()
        return (await text(seen.stdout)) === '0\n1\n'
      },
      { deadlineMs: STATE_MS },
    )
  })

  test('commands run beside the entrypoint, with and without a terminal', async (t) => {
    const { agent } = await run(t, bench, 'sleep 1000')
    const plain = await agent.exec({ argv: ['/bin/sh', '-c', 'cat; echo err >&2; exit 7'] })
    plain.stdin.end('through')
    const [out, err, ending] = await Promise.all([
      text(plain.stdout),
      text(plain.stderr),
      plain.ended,
    ])
    assert.deepEqual([out, err, ending], ['through', 'err\n', { kind: 'exited', code: 7 }])
    const tty = { columns: 100, rows: 30 }
    const terminal = await agent.exec({ argv: ['/bin/sh', '-c', 'stty size; tty'], tty })
    terminal.stderr.resume()
    assert.equal(await text(terminal.stdout), '30 100\r\n/dev/pts/0\r\n')
    await assert.rejects(agent.exec({ argv: ['/no/such'] }), { code: 'guest.not_found' })
  })

  test('much output arrives whole, and waits for whoever reads it', async (t) => {
    const bytes = 16 << 20
    const script = `dd if=/dev/zero bs=65536 count=${bytes / 65536} 2>/dev/null; echo done >&2`
    const { agent } = await run(t, bench, script)
    agent.stdout.read(0) // asks for output, takes none
    await pollUntil('output to wait', () => agent.stdout.readableLength > 0, {
      deadlineMs: STATE_MS,
    })
    assert.ok(agent.stdout.readableLength <= 1 << 20, 'a reader that is slow has bounded memory')
    const { stdout } = await outcome(agent)
    assert.equal(stdout.length, bytes)
  })

  test('files go in and come out unchanged', async (t) => {
    const { agent } = await run(t, bench, 'sleep 1000')
    const content = systemRandom.bytes(3_000_001)
    await agent.putFile([Buffer.from(content)], { path: '/root/in/file', mode: 0o640 })
    assert.deepEqual(await buffer(await agent.getFile('/root/in/file')), Buffer.from(content))
  })

  test('what a machine uses is seen from the host, and its bandwidth can be changed', async (t) => {
    const { guest } = await run(t, bench, 'while :; do :; done')
    const first = await guest.usage()
    assert.ok(first.memoryBytes > 0 && first.processes > 0)
    await pollUntil(
      'CPU time',
      async () => (await guest.usage()).cpuNs > first.cpuNs + 50_000_000n,
      {
        deadlineMs: STATE_MS,
      },
    )
    guest.setBandwidth({ quotaUs: 2_000, periodUs: 80_000 })
    const before = (await guest.usage()).throttledNs
    await pollUntil('it to be throttled', async () => (await guest.usage()).throttledNs > before, {
      deadlineMs: STATE_MS,
    })
  })
}
