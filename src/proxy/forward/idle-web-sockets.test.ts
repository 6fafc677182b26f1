import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import test from 'node:test'
import { pollUntil } from '#base'
import { exchange, startProxy } from '../proxy.fixture.ts'

const WANTED = 10_000
/** Of this process besides: two for each WebSocket are the proxy's. */
const OTHER_DESCRIPTORS = 500
const KIB = 2 ** 10
/** Of the proxy's memory, for one that idles. */
const KIB_MAX = 16
const DEADLINE_MS = 120_000

const [, allowed = ''] =
  /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
const COUNT = Math.min(WANTED, Math.floor((Number(allowed) - OTHER_DESCRIPTORS) / 2))

function start(...words: string[]): ChildProcess & Disposable {
  const options = { execArgv: ['--disable-warning=ExperimentalWarning'] }
  const child = fork(join(import.meta.dirname, 'web-socket-crowd.fixture.ts'), words, options)
  return Object.assign(child, { [Symbol.dispose]: () => void child.kill('SIGKILL') })
}

const word = async (child: ChildProcess): Promise<unknown> => {
  const [said] = await once(child, 'message', { signal: AbortSignal.timeout(DEADLINE_MS) })
  return said
}

const GET = 'GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n'
const memoryKib = () => process.memoryUsage().rss / KIB

test(`${WANTED} idle WebSockets, or as many as descriptors allow, cost little, hold up nobody, and each still speaks`, {
  timeout: 2 * DEADLINE_MS,
}, async (t) => {
  using machine = start('machine')
  const { port } = (await word(machine)) as AddressInfo
  const limits = { connectionsPerAddressMax: WANTED + 100 }
  await using proxy = startProxy({ machines: [port], limits })
  const served = async () => assert.match(await exchange(proxy.port, GET), /^HTTP\/1\.1 200 OK/)
  await served()
  const beforeKib = memoryKib()
  {
    using clients = start('clients', String(proxy.port), String(COUNT))
    assert.equal(await word(clients), 'open')
    const { counters } = proxy.serving
    assert.equal(counters.tunnelsOpen, COUNT)
    const eachKib = (memoryKib() - beforeKib) / COUNT
    t.diagnostic(`${COUNT} WebSockets: ${eachKib.toFixed(1)} KiB each`)
    assert(eachKib < KIB_MAX, `${eachKib} KiB each`)
    await served()
    clients.send('speak')
    assert.equal(await word(clients), 'spoken')
    await served()
  }
  await pollUntil('all to end', () => proxy.serving.counters.tunnelsOpen === 0, {
    deadlineMs: DEADLINE_MS,
  })
  assert.equal(proxy.serving.counters.connectionsOpen, 0)
})
