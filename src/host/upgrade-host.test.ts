import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { createLog, pollUntil } from '#base'
import { serveHostSocket, upgradePart } from './host-socket.ts'
import { HostSupervisor } from './host-supervisor.ts'
import type { DerivedPart } from './parts/derived-part.ts'
import { upgradeParts } from './upgrade-host.ts'

const log = createLog({ part: 'host', level: 'silent' })
const DEADLINE_MS = 60_000

/** A daemon that serves on a socket file, and notes its version at its start. */
const daemon = (folder: string, name: string, version: string): DerivedPart => ({
  name,
  command: process.execPath,
  args: [
    '-e',
    `const fs = require('fs');
     fs.rmSync('${folder}/${name}.sock', { force: true });
     if (fs.readFileSync('${folder}/${name}.conf', 'utf8') === 'broken') process.exit(1);
     require('net').createServer((socket) => socket.destroy()).listen('${folder}/${name}.sock', () =>
       fs.appendFileSync('${folder}/starts', '${name} ${version}\\n'));
     process.on('SIGTERM', () => process.exit(0));`,
  ],
  probe: { kind: 'unix', path: join(folder, `${name}.sock`) },
  files: [{ path: join(folder, `${name}.conf`), text: version }],
})

async function running(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-upgrade-'))
  const names = ['corrosion', 'flyd', 'dns']
  const socket = join(folder, 'host.sock')
  const { preparePart } = await import('./prepare-part.ts')
  const parts = names.map((name) => daemon(folder, name, '1'))
  for (const part of parts) preparePart(part)
  const supervisor = new HostSupervisor({
    ...{ parts, runDir: folder, log },
    policy: { backoff: { baseMs: 10, capMs: 50 }, probePeriodMs: 20 },
  })
  const served = await serveHostSocket(supervisor, socket, log)
  t.after(async () => {
    await served[Symbol.asyncDispose]()
    await supervisor.stop()
    rmSync(folder, { recursive: true })
  })
  supervisor.start()
  const isReady = () => supervisor.status().every(({ state }) => state === 'ready')
  await pollUntil('all parts', isReady, { deadlineMs: DEADLINE_MS })
  const of = (version: string) => names.map((name) => daemon(folder, name, version))
  const starts = () => readFileSync(join(folder, 'starts'), 'utf8').trim().split('\n').slice(3)
  return { folder, socket, supervisor, of, starts }
}

test('parts are started anew one after another, as they are defined now', async (t) => {
  const { socket, of, starts, folder } = await running(t)
  const began: string[] = []
  const onlyNew = { ...daemon(folder, 'registry', '2') }
  const done = await upgradeParts(socket, [...of('2'), onlyNew], {
    began: (name) => began.push(name),
  })
  assert.deepEqual(starts(), ['corrosion 2', 'flyd 2', 'dns 2'])
  assert.deepEqual(began, ['corrosion', 'flyd', 'dns', 'registry'])
  assert.deepEqual(
    done.map(({ name, how }) => `${name} ${how}`),
    ['corrosion restarted', 'flyd restarted', 'dns restarted', 'registry new'],
  )
  assert(done.slice(0, 3).every(({ pid, pidBefore }) => pid !== pidBefore && pid !== null))
  assert(!existsSync(join(folder, 'registry.conf')))
})

test('an upgrade ends at the first part that does not come up, and the rest is as it was', async (t) => {
  const { socket, of, starts, supervisor } = await running(t)
  const [corrosion, flyd, dns] = of('2')
  assert(corrosion !== undefined && flyd !== undefined && dns !== undefined)
  const broken = { ...flyd, files: flyd.files.map((file) => ({ ...file, text: 'broken' })) }
  const before = supervisor.status().find(({ name }) => name === 'dns')
  await upgradeParts(socket, [corrosion]) // it may take its time: the machine may be busy
  const upgrade = upgradeParts(socket, [broken, dns], { readyMs: 1_000 })
  await assert.rejects(upgrade, { code: 'host.upgrade_failed', message: /flyd/ })
  assert.equal(supervisor.status().find(({ name }) => name === 'dns')?.pid, before?.pid)
  assert(!starts().includes('dns 2'))
  await upgradePart(socket, flyd)
  assert(starts().includes('flyd 2'))
})
