import assert from 'node:assert/strict'
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { systemClock } from '#base'
import type { DelayConfig, DelayLink } from './config.ts'
import { readDelayStats, setLinkDelay } from './control-client.ts'
import { type DelayProcess, startDelay } from './start-delay.ts'
import type { TransferReport } from './trial/peer.ts'

const PEER = fileURLToPath(new URL('trial/peer.ts', import.meta.url))
const DEADLINE_MS = 20_000
const rootOnly = { skip: process.getuid?.() === 0 ? false : 'needs root for namespaces' }

const ip = (...args: string[]) => execFileSync('ip', args, { stdio: ['ignore', 'pipe', 'pipe'] })

async function until(what: string, isTrue: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = systemClock.monotonicMs() + DEADLINE_MS
  while (!(await isTrue())) {
    assert(systemClock.monotonicMs() < endMs, `still not so: ${what}`)
    await systemClock.sleep(10)
  }
}

/** Two namespaces with names of their own, and what was started between them. Disposal removes all. */
class Pair {
  static #count = 0
  readonly folder = mkdtempSync(join(tmpdir(), 'godwit-delay-'))
  readonly near: string
  readonly far: string
  readonly controlSocket = join(this.folder, 'control')
  readonly #children: ChildProcess[] = []
  #delay: DelayProcess | undefined
  constructor(taps: readonly string[]) {
    Pair.#count += 1
    this.near = `godwit-${process.pid}-near-${Pair.#count}`
    this.far = `godwit-${process.pid}-far-${Pair.#count}`
    for (const netns of [this.near, this.far]) {
      ip('netns', 'add', netns)
      for (const tap of taps) ip('-n', netns, 'tuntap', 'add', tap, 'mode', 'tap', 'vnet_hdr')
    }
  }

  link(name: string, tap: string, delayUs: number): DelayLink {
    const netns = (namespace: string) => `/run/netns/${namespace}`
    const ends: DelayLink['ends'] = [
      { netns: netns(this.near), tap },
      { netns: netns(this.far), tap },
    ]
    return { name, delayUs, ends }
  }

  async start(links: DelayLink[], limits: Partial<DelayConfig> = {}): Promise<number> {
    const { controlSocket } = this
    const options = { configFile: join(this.folder, 'config'), logFile: join(this.folder, 'log') }
    this.#delay = startDelay({ links, controlSocket, ...limits }, options)
    await this.#delay.ready
    return this.#delay.pid
  }

  setUp(tap: string): void {
    ip('-n', this.near, 'addr', 'add', '10.99.0.0/31', 'dev', tap)
    ip('-n', this.far, 'addr', 'add', '10.99.0.1/31', 'dev', tap)
    for (const netns of [this.near, this.far]) ip('-n', netns, 'link', 'set', tap, 'up')
  }

  /** Sends `bytes` from near to far over TCP. */
  async transfer(bytes: number): Promise<TransferReport> {
    const inside = (netns: string, ...rest: string[]) =>
      ['netns', 'exec', netns, process.execPath, PEER, ...rest] as const
    if (this.#children.length === 0) {
      const listener = spawn('ip', inside(this.far, 'listen'), {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      this.#children.push(listener)
      await once(listener.stdout, 'data')
    }
    const args = inside(this.near, 'send', '10.99.0.1', String(bytes))
    const { stdout } = await promisify(execFile)('ip', args, { timeout: DEADLINE_MS })
    return JSON.parse(stdout) as TransferReport
  }

  get isRunning(): boolean {
    return this.#delay !== undefined && existsSync(`/proc/${this.#delay.pid}`)
  }

  [Symbol.dispose](): void {
    for (const child of this.#children) child.kill('SIGKILL')
    if (this.isRunning) process.kill(this.#delay?.pid ?? 0, 'SIGKILL')
    for (const netns of [this.near, this.far]) {
      if (existsSync(`/run/netns/${netns}`)) ip('netns', 'del', netns)
    }
    rmSync(this.folder, { recursive: true })
  }
}

test(
  'a connection takes its round trip and carries its bytes whole, as large segments',
  rootOnly,
  async () => {
    using pair = new Pair(['tap0'])
    await pair.start([pair.link('a--b', 'tap0', 20_000)])
    pair.setUp('tap0')
    const { connectMs, sent, received } = await pair.transfer(32 << 20)
    assert(connectMs >= 40, `the round trip took only ${connectMs} ms`)
    assert.equal(received, sent)
    const [there] = (await readDelayStats(pair.controlSocket))[0]?.directions ?? []
    assert(there !== undefined)
    assert(there.receivedBytes > 32 << 20)
    assert(there.receivedBytes / there.receivedFrames > 5000, 'segments were split on the way')
  },
)

test('a delay changed while the link runs holds for the next connection', rootOnly, async () => {
  using pair = new Pair(['tap0'])
  await pair.start([pair.link('a--b', 'tap0', 1000)])
  pair.setUp('tap0')
  await pair.transfer(1)
  await setLinkDelay(pair.controlSocket, { link: 'a--b', delayUs: 60_000 })
  assert((await pair.transfer(1)).connectMs >= 120)
  await assert.rejects(setLinkDelay(pair.controlSocket, { link: 'b--c', delayUs: 1 }), {
    code: 'delay.link_unknown',
    values: { link: 'b--c', links: 'a--b' },
  })
})

test('a full queue drops and counts, and the stream still arrives whole', rootOnly, async () => {
  using pair = new Pair(['tap0'])
  await pair.start([pair.link('a--b', 'tap0', 20_000)], { queueBytes: 1 << 18 })
  pair.setUp('tap0')
  const { sent, received } = await pair.transfer(4 << 20)
  assert.equal(received, sent)
  const [there] = (await readDelayStats(pair.controlSocket))[0]?.directions ?? []
  assert(there !== undefined && there.droppedFull > 0)
})

test(
  'frames for an interface that is down are dropped, counted, and harm nothing',
  rootOnly,
  async () => {
    using pair = new Pair(['tap0'])
    await pair.start([pair.link('a--b', 'tap0', 1000)])
    pair.setUp('tap0')
    await pair.transfer(1)
    ip('-n', pair.far, 'link', 'set', 'tap0', 'down')
    await until('a drop is counted', async () => {
      ip('-n', pair.near, 'neigh', 'flush', 'dev', 'tap0')
      await promisify(execFile)('ip', [
        'netns',
        'exec',
        pair.near,
        'ping',
        '-c1',
        '-W1',
        '10.99.0.1',
      ]).catch(() => undefined) // no answer is the point
      const [there] = (await readDelayStats(pair.controlSocket))[0]?.directions ?? []
      return (there?.droppedAtWrite ?? 0) > 0
    })
    ip('-n', pair.far, 'link', 'set', 'tap0', 'up')
    const { sent, received } = await pair.transfer(1 << 20)
    assert.equal(received, sent)
  },
)

test(
  'SIGTERM leaves no process and no socket, and the TAPs free for the next one',
  rootOnly,
  async () => {
    using pair = new Pair(['tap0'])
    const links = [pair.link('a--b', 'tap0', 1000)]
    process.kill(await pair.start(links), 'SIGTERM')
    await until('it ended', () => !pair.isRunning)
    assert(!existsSync(pair.controlSocket))
    await pair.start(links)
    pair.setUp('tap0')
    assert((await pair.transfer(1)).connectMs >= 2)
  },
)

test('a TAP that was absent is created, and vanishes with the process', rootOnly, async () => {
  using pair = new Pair([])
  process.kill(await pair.start([pair.link('a--b', 'tap7', 1000)]), 'SIGTERM')
  await until('it ended', () => !pair.isRunning)
  assert(!ip('-n', pair.near, 'link').toString().includes('tap7'))
})

test('a link whose device is removed is dropped alone', rootOnly, async () => {
  using pair = new Pair(['tap0', 'tap1'])
  await pair.start([pair.link('a--b', 'tap0', 1000), pair.link('a--c', 'tap1', 1000)])
  ip('-n', pair.near, 'link', 'del', 'tap0')
  const names = async () => (await readDelayStats(pair.controlSocket)).map(({ name }) => name)
  await until('only the other is left', async () => (await names()).join() === 'a--c')
})

test('the process ends when its namespaces are removed', rootOnly, async () => {
  using pair = new Pair(['tap0'])
  await pair.start([pair.link('a--b', 'tap0', 1000)])
  ip('netns', 'del', pair.near)
  await until('it ended', () => !pair.isRunning)
  assert(!existsSync(pair.controlSocket))
})

test(
  'a missing namespace and a TAP in use are told to the caller by their codes',
  rootOnly,
  async () => {
    using pair = new Pair(['tap0'])
    const link = pair.link('a--b', 'tap0', 1000)
    const [near] = link.ends
    const missing: DelayLink = { ...link, ends: [near, { ...near, netns: '/run/netns/nowhere' }] }
    await assert.rejects(pair.start([missing]), { code: 'delay.namespace_missing' })
    await until('it ended', () => !pair.isRunning)
    using other = new Pair([])
    await pair.start([link])
    await assert.rejects(other.start([link]), /errno=EBUSY/)
  },
)

test('nobody at the control socket is told as delay.unreachable', async () => {
  await assert.rejects(readDelayStats('/nonexistent/control'), { code: 'delay.unreachable' })
})
