import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { createLog, pollUntil, startDeadline } from '#base'
import { fc } from '#property'
import { changePart, hostStatus, serveHostSocket } from './host-socket.ts'
import { HostSupervisor } from './host-supervisor.ts'
import type { Part } from './part.ts'
import { inStartOrder } from './part-order.ts'

const log = createLog({ part: 'host', level: 'error' })
const DEADLINE_MS = 60_000

/** A daemon that serves on a socket file once it is told, and says when it was started. */
const daemon = (folder: string, name: string, after: readonly string[] = []): Part => ({
  name,
  after,
  command: process.execPath,
  args: [
    '-e',
    `require('fs').appendFileSync('${folder}/starts', '${name}\\n');
     require('fs').rmSync('${folder}/${name}.sock', { force: true });
     require('net').createServer((socket) => socket.destroy()).listen('${folder}/${name}.sock');
     process.on('SIGTERM', () => {
       require('fs').appendFileSync('${folder}/stops', '${name}\\n');
       process.exit(0);
     });`,
  ],
  probe: { kind: 'unix', path: join(folder, `${name}.sock`) },
})

/** One that takes over: the last that was started answers, whoever was before ends when it is told to. */
const relay = (folder: string, name: string): Part => ({
  name,
  takesOver: true,
  command: process.execPath,
  args: [
    '-e',
    `const fs = require('fs'), at = '${folder}/${name}.sock', own = at + process.pid
     fs.appendFileSync('${folder}/starts', process.pid + '\\n')
     if (fs.existsSync('${folder}/broken')) process.exit(1)
     require('http').createServer((_, said) => said.end(JSON.stringify({ pid: process.pid })))
       .listen(own, () => fs.renameSync(own, at))
     process.on('SIGTERM', () => {
       fs.appendFileSync('${folder}/stops', process.pid + '\\n')
       process.exit(0)
     })`,
  ],
  probe: { kind: 'own', path: join(folder, `${name}.sock`) },
})

function supervisorOf(t: TestContext, make: (folder: string) => readonly Part[]) {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-host-'))
  const options = {
    parts: make(folder),
    runDir: folder,
    log,
    policy: { backoff: { baseMs: 10, capMs: 50 }, probePeriodMs: 20 },
  }
  const supervisor = new HostSupervisor(options)
  t.after(async () => {
    await supervisor.stop()
    rmSync(folder, { recursive: true })
  })
  return { supervisor, folder, options }
}

const linesOf = (folder: string, name: string) =>
  readFileSync(join(folder, name), 'utf8').trim().split('\n')

const allReady = (supervisor: HostSupervisor) =>
  pollUntil('all parts', () => supervisor.status().every(({ state }) => state === 'ready'), {
    deadlineMs: DEADLINE_MS,
  })

test('parts start when those before them are ready, and stop the other way round', async (t) => {
  const { supervisor, folder } = supervisorOf(t, (at) => [
    daemon(at, 'proxy', ['flyd']),
    daemon(at, 'flyd', ['corrosion']),
    daemon(at, 'corrosion'),
  ])
  supervisor.start()
  await allReady(supervisor)
  assert.deepEqual(linesOf(folder, 'starts'), ['corrosion', 'flyd', 'proxy'])
  await supervisor.stop()
  assert.deepEqual(linesOf(folder, 'stops'), ['proxy', 'flyd', 'corrosion'])
})

test('a part that dies is started anew, and the others never notice', async (t) => {
  const { supervisor } = supervisorOf(t, (at) => [
    daemon(at, 'corrosion'),
    daemon(at, 'flyd', ['corrosion']),
  ])
  supervisor.start()
  await allReady(supervisor)
  const [corrosion, flyd] = supervisor.status()
  process.kill(corrosion?.pid ?? 0, 'SIGKILL')
  const restarted = () => supervisor.status()[0]?.restarts === 1
  await pollUntil('the restart', restarted, { deadlineMs: DEADLINE_MS })
  await allReady(supervisor)
  assert.equal(supervisor.status()[1]?.pid, flyd?.pid)
})

test('a part whose start fails holds only those that wait for it', async (t) => {
  const { supervisor } = supervisorOf(t, (at) => [
    { name: 'broken', command: '/nonexistent', args: [] },
    daemon(at, 'waiting', ['broken']),
    daemon(at, 'free'),
  ])
  supervisor.start()
  const isFree = () => supervisor.status().find(({ name }) => name === 'free')?.state === 'ready'
  await pollUntil('the free one', isFree, { deadlineMs: DEADLINE_MS })
  assert.equal(supervisor.status().find(({ name }) => name === 'waiting')?.state, 'held')
})

test('what runs is told over a socket, and one part can be restarted alone', async (t) => {
  const { supervisor, folder } = supervisorOf(t, (at) => [daemon(at, 'flyd'), daemon(at, 'dns')])
  const path = join(folder, 'host.sock')
  await using _socket = await serveHostSocket(supervisor, path, log)
  supervisor.start()
  await allReady(supervisor)
  const before = await hostStatus(path)
  const after = await changePart(path, 'restart', 'dns')
  const pidsOf = (name: string) =>
    [before, after].map((all) => all.find((one) => one.name === name)?.pid)
  assert.equal(new Set(pidsOf('flyd')).size, 1)
  assert.equal(new Set(pidsOf('dns')).size, 2)
  await assert.rejects(changePart(path, 'restart', 'nope'), {
    code: 'host.part_unknown',
    message: /flyd, dns/,
  })
  await assert.rejects(serveHostSocket(supervisor, path, log), { code: 'host.running' })
})

test('one that takes over is started beside the one that runs, which ends afterwards', async (t) => {
  const { supervisor, folder } = supervisorOf(t, (at) => [relay(at, 'proxy')])
  supervisor.start()
  await allReady(supervisor)
  const [before] = supervisor.status()
  using deadline = startDeadline('the restarts', DEADLINE_MS)
  // Two who ask at the same time get the same one.
  await Promise.all([1, 2].map(() => supervisor.restart('proxy', deadline.signal)))
  const [after] = supervisor.status()
  assert.notEqual(after?.pid, before?.pid)
  assert.deepEqual([after?.state, after?.restarts], ['ready', 1])
  assert.deepEqual(linesOf(folder, 'starts'), [String(before?.pid), String(after?.pid)])
  const hasEnded = () => existsSync(join(folder, 'stops'))
  await pollUntil('the end of the first', hasEnded, { deadlineMs: DEADLINE_MS })
  assert.deepEqual(linesOf(folder, 'stops'), [String(before?.pid)])
  process.kill(after?.pid ?? 0, 'SIGKILL')
  const isBack = () => supervisor.status()[0]?.restarts === 2
  await pollUntil('another start', isBack, { deadlineMs: DEADLINE_MS })
})

test('a successor that does not get ready leaves the one that runs where it is', async (t) => {
  const { supervisor, folder } = supervisorOf(t, (at) => [relay(at, 'proxy')])
  supervisor.start()
  await allReady(supervisor)
  const [before] = supervisor.status()
  writeFileSync(join(folder, 'broken'), '')
  const ending = new AbortController()
  const restart = supervisor.restart('proxy', ending.signal)
  const hasTried = () => linesOf(folder, 'starts').length >= 3
  await pollUntil('two attempts', hasTried, { deadlineMs: DEADLINE_MS })
  ending.abort(new Error('enough'))
  await assert.rejects(restart, /enough/)
  const [after] = supervisor.status()
  assert.deepEqual([after?.pid, after?.state], [before?.pid, 'ready'])
})

test('where no supervisor runs, that is said', async () => {
  await assert.rejects(hostStatus('/nonexistent/host.sock'), {
    code: 'host.away',
    message: /godwit host run/,
  })
})

test('an order is found whenever there is one, and a circle is named', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.nat(20), { minLength: 1, maxLength: 10 }),
      fc.infiniteStream(fc.boolean()),
      (ids, coins) => {
        const parts = ids.map(
          (id, index): Part => ({
            name: `p${id}`,
            command: 'x',
            args: [],
            after: ids
              .slice(0, index)
              .filter(() => coins.next().value === true)
              .map((one) => `p${one}`),
          }),
        )
        const ordered = inStartOrder(parts.toReversed()).map(({ name }) => name)
        assert.equal(ordered.length, parts.length)
        for (const { name, after = [] } of parts) {
          for (const before of after) assert.ok(ordered.indexOf(before) < ordered.indexOf(name))
        }
      },
    ),
  )
  const part = (name: string, ...after: string[]): Part => ({ name, command: 'x', args: [], after })
  assert.throws(() => inStartOrder([part('a', 'b'), part('b', 'a')]), {
    code: 'host.order_bad',
    message: /a -> b -> a/,
  })
  assert.throws(() => inStartOrder([part('a', 'z')]), { code: 'host.order_bad' })
  assert.throws(() => inStartOrder([part('a'), part('a')]), { code: 'host.order_bad' })
})
