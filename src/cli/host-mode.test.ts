import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { hostCommand } from './host.ts'
import { regionTable } from './host-list.ts'

/** A host's file, and a flyd that answers on its socket and remembers what it was asked. */
async function hostIn(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-host-mode-'))
  const plan = join(folder, 'cluster.toml')
  writeFileSync(
    plan,
    `[[hosts]]
host = "ams-1"
address = "192.0.2.1"
roles = ["worker", "gateway", "nats"]
names = ["api.example.com"]
settings = { run_folder = "${folder}" }
[hosts.region]
code = "ams"
`,
  )
  await hostCommand(() => undefined).parseAsync(['found', plan, '--out', join(folder, 'c')], {
    from: 'user',
  })
  const asked: string[] = []
  const load = { cpuMicros: 0, memoryMb: 0, machines: 0 }
  const flyd = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    const mode = new URL(request.url ?? '', 'http://flyd').searchParams.get('is') ?? 'open'
    const machines = asked.length > 2 ? { migrated: 1 } : { started: 1 }
    const report = {
      ...{ host: 'ams-1', region: 'ams', version: '1', mode, machines, guests: 1, runs: 0 },
      capacity: { limits: load, used: load, reservations: 0 },
      evacuation: { moving: ['148ed599c14189'], stay: [] },
      rows: { count: 1, waiting: 0, inStep: true },
    }
    response.end(JSON.stringify(report))
  })
  await new Promise<void>((resolve) => flyd.listen(join(folder, 'flyd.sock'), resolve))
  t.after(() => {
    flyd.closeAllConnections()
    flyd.close()
    rmSync(folder, { recursive: true })
  })
  const run = async (...words: string[]) => {
    let printed = ''
    const command = hostCommand((text) => {
      printed += text
    })
    const file = join(folder, 'c', 'ams-1', 'host.toml')
    await command.parseAsync([...words, '--config', file], { from: 'user' })
    return printed
  }
  return { asked, run }
}

test('a host is cordoned, drained and opened again by its own flyd', async (t) => {
  const { asked, run } = await hostIn(t)
  assert.match(await run('cordon'), /ams-1 is cordoned\nnext: godwit host uncordon/)
  assert.match(await run('drain', 'ams-1'), /draining\nnext: godwit host show/)
  assert.equal(JSON.parse(await run('uncordon', '--json')).mode, 'open')
  assert.match(await run('show'), /ams-1 in ams, open[\s\S]*moving +148ed599c14189/)
  assert.deepEqual(asked, [
    'POST /mode?is=cordoned',
    'POST /mode?is=draining',
    'POST /mode?is=open',
    'GET /status',
  ])
})

test('evacuate drains, and waits until the host is empty', async (t) => {
  const { asked, run } = await hostIn(t)
  assert.match(await run('evacuate'), /ams-1 is empty/)
  assert.deepEqual(asked, ['POST /mode?is=draining', 'GET /status', 'GET /status'])
})

test('where no supervisor and no host is, that is said', async (t) => {
  const { run } = await hostIn(t)
  await assert.rejects(run('upgrade'), { code: 'host.away', message: /godwit host run/ })
  await assert.rejects(run('upgrade', '--part', 'nope'), {
    code: 'host.part_unknown',
    message: /corrosion/,
  })
})

test('a region shows what it has, and how much of it is promised', () => {
  const region = {
    ...{ code: 'ams', name: 'Amsterdam', hosts: 2, ready: 1, gateways: 1, edges: 0 },
    ...{ machines: 3, started: 2, cpus: 8, memory_mb: 4096, machines_memory_mb: 768 },
  }
  assert.match(regionTable([region]), /ams +Amsterdam +2 +1 +1 gateway +3 +2 +8 +768 of 4096 MB/)
})
