import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { type Balloon, limitByBalloon, squeezeByBalloon } from './balloon.ts'
import { Cgroup } from './cgroup/cgroup.ts'
import { CgroupMemory } from './cgroup/cgroup-memory.ts'

/** A machine whose kernel gives at most `mostMib`, 7 MiB at a look. */
class TrialBalloon implements Balloon {
  readonly aims: number[] = []
  readonly #mostMib: number
  #sizeMib = 0

  constructor(mostMib: number) {
    this.#mostMib = mostMib
  }

  async size(): Promise<number> {
    const aim = Math.min(this.aims.at(-1) ?? 0, this.#mostMib)
    const away = aim - this.#sizeMib
    this.#sizeMib += Math.sign(away) * Math.min(7, Math.abs(away))
    return this.#sizeMib
  }

  async aim(mib: number): Promise<void> {
    this.aims.push(mib)
  }
}

test('a balloon is waited for until it has its size, and what is left is told', async () => {
  const balloon = new TrialBalloon(100)
  assert.equal(await limitByBalloon(balloon, { bootMib: 256, limitMib: 200 }, {}), 200)
  assert.equal(await limitByBalloon(balloon, { bootMib: 256, limitMib: 256 }, {}), 256)
  assert.deepEqual(balloon.aims, [56, 0])
})

test('a kernel that gives no more is asked for no more', async () => {
  const balloon = new TrialBalloon(30)
  assert.equal(await limitByBalloon(balloon, { bootMib: 256, limitMib: 200 }, {}), 226)
  assert.deepEqual(balloon.aims, [56, 30])
})

test('what was squeezed out may be used again, and time that is up leaves no balloon behind', async () => {
  const balloon = new TrialBalloon(30)
  await limitByBalloon(balloon, { bootMib: 64, limitMib: 54 }, {})
  assert.equal(await squeezeByBalloon(balloon, 16, {}), 16)
  assert.deepEqual(balloon.aims, [10, 26, 10, 10])
  const never: Balloon = { size: () => new Promise(() => undefined), aim: async () => undefined }
  const stuck = { ...never, size: stuckAfter(1) }
  const aims: number[] = []
  stuck.aim = async (mib: number) => void aims.push(mib)
  await assert.rejects(squeezeByBalloon(stuck, 8, { deadlineMs: 50 }))
  assert.deepEqual(aims, [8, 0])
})

/** Answers so many times, then only to the signal. */
const stuckAfter =
  (times: number): Balloon['size'] =>
  ({ signal }) => {
    times -= 1
    if (times >= 0) return Promise.resolve(0)
    return new Promise((_resolve, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true })
    })
  }

/** Version 2, of files alone. */
function trialGroup(files: Readonly<Record<string, string>>) {
  const root = mkdtempSync(join(tmpdir(), 'godwit-cgroup-'))
  const cgroup = new Cgroup('trial', { version: 2, root })
  const folder = cgroup.folderOf('memory')
  mkdirSync(folder, { recursive: true })
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  return {
    memory: new CgroupMemory(cgroup),
    read: (name: string) => readFileSync(join(folder, name), 'utf8'),
    [Symbol.dispose]: () => rmSync(root, { recursive: true }),
  }
}

test('in version 2 what is held too much is asked for, and a limit below the rest is not set', async () => {
  const stat = 'anon 500\ninactive_file 200\nactive_file 100\n'
  const files = { 'memory.max': '1000', 'memory.current': '800', 'memory.stat': stat }
  using group = trialGroup({ ...files, 'memory.reclaim': '' })
  assert.deepEqual(
    [await group.memory.limitBytes(), await group.memory.availableBytes()],
    [1000, 500],
  )
  assert.equal(await group.memory.setLimit(600), false)
  assert.deepEqual([group.read('memory.reclaim'), group.read('memory.max')], ['200', '1000'])
  assert.equal(await group.memory.setLimit(900), true)
  assert.match(group.read('memory.max'), /^900/)
  using old = trialGroup(files) // a kernel that knows no memory.reclaim
  await old.memory.reclaim(100)
  assert.equal(await old.memory.setLimit(600), false)
})
