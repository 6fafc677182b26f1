import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import test from 'node:test'
import { judgeCgroups, readLayout } from './cgroups.ts'
import { isOlder } from './kernel.ts'
import { judgeShaping } from './link-shaping.ts'
import type { Probe } from './probe.ts'
import { runDoctor } from './run.ts'
import { formatReport } from './table.ts'
import { tscKiloHertz } from './trial-boot.ts'

const signal = new AbortController().signal
const options = { root: tmpdir(), fresh: false, signal }

function probe(changes: Partial<Probe>): Probe {
  return {
    name: 'thing',
    required: false,
    needsRoot: false,
    deadlineMs: 5_000,
    examine: async () => ({ state: 'ok', detail: 'fine' }),
    ...changes,
  }
}

test('findings come in the order of the probes, whichever ends first', async () => {
  const probes = [3, 1, 2].map((deadline) =>
    probe({ name: `p${deadline}`, deadlineMs: deadline * 1_000 }),
  )
  const { findings, ready } = await runDoctor({ ...options, probes })
  assert.deepEqual([findings.map(({ name }) => name), ready], [['p3', 'p1', 'p2'], true])
})

test('only something required that is missing makes a machine unfit', async () => {
  const missing = async () => ({ state: 'missing', detail: 'no' }) as const
  const degraded = async () => ({ state: 'degraded', detail: 'so so' }) as const
  const readyWith = async (changes: Partial<Probe>) =>
    (await runDoctor({ ...options, probes: [probe(changes)] })).ready
  assert.equal(await readyWith({ required: true, examine: missing }), false)
  assert.equal(await readyWith({ required: false, examine: missing }), true)
  assert.equal(await readyWith({ required: true, examine: degraded }), true)
})

test('a probe that throws or hangs is a finding; its commands end and its folder goes', async () => {
  let folder = ''
  const throws = probe({ examine: () => Promise.reject(new Error('bad luck')) })
  const hangs = probe({
    name: 'hangs',
    deadlineMs: 200,
    async examine({ run, scratchFolder }) {
      folder = scratchFolder
      assert.deepEqual(readdirSync(folder), [])
      await run('sleep', ['60'])
      return { state: 'ok', detail: 'never' }
    },
  })
  const { findings } = await runDoctor({ ...options, probes: [throws, hangs] })
  assert.deepEqual(
    findings.map(({ state, detail }) => `${state}: ${detail}`),
    ['missing: bad luck', 'missing: no answer within 200 ms'],
  )
  assert.equal(existsSync(folder), false)
})

test('no more than four probes run at once', async () => {
  let running = 0
  let most = 0
  const examine: Probe['examine'] = async ({ run }) => {
    running += 1
    most = Math.max(most, running)
    await run('true', [])
    running -= 1
    return { state: 'ok', detail: '' }
  }
  const probes = Array.from({ length: 12 }, (_, index) => probe({ name: `p${index}`, examine }))
  await runDoctor({ ...options, probes })
  assert.equal(most, 4)
})

test('an interrupt ends the doctor with its reason', async () => {
  const controller = new AbortController()
  const examine: Probe['examine'] = async ({ run }) => {
    setImmediate(() => controller.abort(new Error('interrupted')))
    await run('sleep', ['60'])
    return { state: 'ok', detail: '' }
  }
  const call = runDoctor({ ...options, signal: controller.signal, probes: [probe({ examine })] })
  await assert.rejects(call, /interrupted/)
})

test('the report has no escape code without colour, whatever a program said', () => {
  const finding = { name: 'thing', required: true, tookMs: 1 } as const
  const report = {
    ready: false,
    findings: [
      { ...finding, state: 'ok', detail: '\x1b[31mred\x1b[0m\nnext' },
      { ...finding, name: 'other', state: 'missing', detail: 'd', consequence: 'c', fix: 'f' },
    ],
  } as const
  assert.equal(
    formatReport(report, { colour: false }),
    'ok        thing  red next\n' +
      'missing   other  d\n' +
      '                 required: c\n' +
      '                 fix: f\n' +
      '\n1 ok, 0 degraded, 1 missing: godwit cannot run here without other.\n',
  )
  assert(formatReport(report, { colour: true }).includes('\x1b[31mmissing'))
})

test('cgroup v1, v2, hybrid and none are told apart, each with its controllers', () => {
  const v1 =
    '30 25 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n31 25 0:27 / /x rw - cgroup c rw,memory\n32 25 0:28 / /s rw - cgroup c rw,name=systemd\n'
  const v2 = '40 25 0:29 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n'
  assert.deepEqual(readLayout(v1, ''), {
    version: 'v1',
    controllers: ['cpu', 'cpuacct', 'memory'],
  })
  assert.equal(readLayout(v1 + v2, '').version, 'hybrid')
  assert.deepEqual(readLayout(v2, 'cpu io memory pids\n'), {
    version: 'v2',
    controllers: ['cpu', 'io', 'memory', 'pids'],
  })
  assert.deepEqual(readLayout('', ''), { version: 'none', controllers: [] })
})

test('missing controllers degrade, and are named as the version at hand names them', () => {
  const state = (version: 'v1' | 'v2' | 'none', ...controllers: string[]) =>
    judgeCgroups({ version, controllers })
  assert.equal(state('v2', 'cpu', 'io', 'memory', 'pids').state, 'ok')
  assert.equal(state('v1', 'cpu', 'blkio', 'memory', 'pids').state, 'ok')
  assert.match(state('v2', 'cpu', 'pids').consequence ?? '', /memory, io$/)
  assert.match(state('v1', 'cpu', 'pids').consequence ?? '', /memory, blkio$/)
  assert.equal(state('none').state, 'missing')
})

test('link shaping is missing only without TUN', () => {
  const all = ['tun', 'clsact', 'htb', 'tbf', 'netem', 'fq']
  assert.equal(judgeShaping(new Set(all)).state, 'ok')
  assert.equal(judgeShaping(new Set(all.slice(1))).state, 'missing')
  const noNetem = judgeShaping(new Set(['tun', 'clsact', 'htb', 'tbf', 'fq']))
  assert.equal(noNetem.state, 'degraded')
  assert.match(noNetem.consequence ?? '', /TUN links/)
  assert.match(judgeShaping(new Set(['tun', 'netem'])).fix ?? '', /sch_ingress, sch_htb/)
})

test('kernel versions are compared by number, and a clock rate is read where there is one', () => {
  for (const old of ['4.19.0-27-amd64', '5.4.0', '5.9.16']) assert.equal(isOlder(old), true, old)
  for (const young of ['5.10.0', '6.1.0-56-cloud-amd64', '10.0'])
    assert.equal(isOlder(young), false)
  assert.equal(tscKiloHertz('model name\t: x\ncpu MHz\t\t: 2596.150\n'), 2_596_150)
  assert.equal(tscKiloHertz('processor : 0\nBogoMIPS : 50.00\n'), undefined)
})
