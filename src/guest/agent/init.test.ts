import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { createConnection } from 'node:net'
import { constants } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import test from 'node:test'
import { pollUntil } from '#base'
import type { Agent, GuestProcess } from './agent.ts'
import { exitCodeOf } from './answers.ts'
import { AgentError } from './errors.ts'
import type { GuestConfig } from './machine-config.ts'
import { SftpTrial, sftpText } from './sftp-trial.ts'
import { descriptorsOf, residentBytesOf, startTrialMachine } from './trial-machine.ts'

const { SIGTERM, SIGUSR1, SIGKILL } = constants.signals
const path = { PATH: '/bin' }
const shell = (script: string) => ['sh', '-c', script] as const

async function runMain(agent: Agent, config: GuestConfig) {
  await agent.configure(config)
  await agent.start()
  return await agent.waitForEntrypoint(({ phase }) => phase === 'exited')
}

async function codeOf(agent: Agent, script: string): Promise<number> {
  const state = await runMain(agent, { argv: shell(script), env: path })
  assert(state.phase === 'exited')
  return exitCodeOf(state.ending)
}

async function outputOf(running: GuestProcess) {
  running.stdin.end()
  const [stdout, stderr, ending] = await Promise.all([
    text(running.stdout),
    text(running.stderr),
    running.ended,
  ])
  return { stdout, stderr, code: exitCodeOf(ending) }
}

const run = async (agent: Agent, script: string) =>
  await outputOf(await agent.exec({ argv: shell(script), env: path }))

test('the entrypoint gets its env, user, groups, folder, limits and files', async (t) => {
  const { agent, root } = await startTrialMachine(t)
  await agent.putFile([Buffer.from('injected')], {
    path: '/made/for/it/file',
    mode: 0o640,
    owner: { uid: 1000, gid: 1000 },
  })
  assert.equal(statSync(join(root, 'made/for/it/file')).mode & 0o7777, 0o640)
  const collected = agent.stdout.once('readable', () => undefined)
  await runMain(agent, {
    argv: shell(
      'id -u; id -g; id -G; pwd; echo "$A"; ulimit -n; cat /made/for/it/file; echo; hostname=$(cat /etc/hostname); echo $hostname; cat /etc/hosts /etc/resolv.conf; echo by-path > /dev/stdout',
    ),
    env: { ...path, A: 'b=c d' },
    user: { uid: 1000, gid: 1000, groups: [20, 30] },
    cwd: '/work/dir',
    hostname: 'm1',
    hosts: [{ address: 'fdaa::3', names: ['one', 'two'] }],
    nameservers: ['fdaa::3'],
    limits: [{ resource: 7, soft: 1234n, hard: 1234n }],
  })
  agent.close()
  assert.equal(
    await text(collected),
    '1000\n1000\n1000 20 30\n/work/dir\nb=c d\n1234\ninjected\nm1\n' +
      '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n# from here on: written by init\n' +
      'fdaa::3\tone two\nnameserver\tfdaa::3\nby-path\n',
  )
})

test('a machine whose image has no /etc/hosts knows itself as localhost', async (t) => {
  const { agent } = await startTrialMachine(t)
  const collected = agent.stdout.once('readable', () => undefined)
  await runMain(agent, { argv: shell('cat /etc/hosts'), env: path })
  agent.close()
  const localhost = '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n'
  assert.equal(await text(collected), `${localhost}# from here on: written by init\n`)
})

test('exit codes 0, 1 and 137 are told, and a kill is told as a signal', async (t) => {
  const { agent } = await startTrialMachine(t)
  assert.equal(await codeOf(agent, 'exit 0'), 0)
  assert.equal(await codeOf(agent, 'exit 1'), 1)
  assert.equal(await codeOf(agent, 'kill -9 $$'), 137)
  const state = agent.entrypoint
  assert(state.phase === 'exited')
  assert.deepEqual(state.ending, { kind: 'signaled', signal: SIGKILL })
  assert.equal(state.runCount, 3)
})

test('a command that is not there is a typed error, for the entrypoint and for an exec', async (t) => {
  const { agent } = await startTrialMachine(t)
  const missing = { code: 'guest.not_found' }
  await agent.configure({ argv: ['nowhere'] })
  await assert.rejects(agent.start(), missing)
  await assert.rejects(agent.exec({ argv: ['/nowhere'] }), missing)
  await assert.rejects(agent.getFile('/nowhere'), missing)
  assert.equal(await codeOf(agent, 'exit 3'), 3)
})

test('stop sends its signal first, and SIGKILL only after the timeout', async (t) => {
  const { agent } = await startTrialMachine(t)
  const gentle = 'trap "echo bye; exit 7" TERM; echo up; while :; do sleep 0.01; done'
  await agent.configure({ argv: shell(gentle), env: path })
  await agent.start()
  await seen(agent, 'up')
  await agent.stop({ stopSignal: SIGTERM, timeoutMs: 60_000 })
  let state = await agent.waitForEntrypoint(({ phase }) => phase === 'exited')
  assert.deepEqual(state.phase === 'exited' && state.ending, { kind: 'exited', code: 7 })

  const stubborn = 'trap "echo no" TERM; echo up; while :; do sleep 0.01; done'
  await agent.configure({ argv: shell(stubborn), env: path })
  await agent.start()
  await seen(agent, 'up')
  await agent.stop({ stopSignal: SIGTERM, timeoutMs: 300 })
  state = await agent.waitForEntrypoint(({ phase }) => phase === 'exited')
  assert.deepEqual(state.phase === 'exited' && state.ending, { kind: 'signaled', signal: SIGKILL })
})

/** Reads on until the output has said it. */
async function seen(agent: Agent, wanted: string): Promise<void> {
  let all = ''
  await pollUntil(
    `the output to say ${wanted}`,
    () => {
      all += agent.stdout.read()?.toString() ?? ''
      return all.includes(wanted)
    },
    { deadlineMs: 10_000 },
  )
}

test('a restart starts the entrypoint anew and ends what the last run left', async (t) => {
  const { agent } = await startTrialMachine(t)
  agent.stdout.resume()
  await agent.configure({ argv: shell('sleep 1000 & sleep 1000'), env: path })
  await agent.start()
  await agent.restart({ stopSignal: SIGTERM, timeoutMs: 1_000 })
  const state = await agent.waitForEntrypoint(({ phase }) => phase === 'running')
  assert.equal(state.runCount, 2)
  await pollUntil('one pair of sleeps', async () => (await sleepers(agent)) === 2, {
    deadlineMs: 10_000,
  })
})

async function sleepers(agent: Agent): Promise<number> {
  const { stdout } = await run(
    agent,
    'for p in /proc/[0-9]*; do cat $p/cmdline 2>/dev/null; echo; done',
  )
  return stdout.split('\n').filter((line) => line.startsWith('sleep')).length
}

test('the machine ends with its first process, though a grandchild holds the output', async (t) => {
  const { agent } = await startTrialMachine(t)
  assert.equal(await codeOf(agent, 'sleep 1000 & exit 5'), 5)
})

test('a thousand orphans are reaped', async (t) => {
  const { agent, pid } = await startTrialMachine(t)
  const script = 'i=0; while [ $i -lt 1000 ]; do (sleep 0 &) ; i=$((i+1)); done'
  assert.equal((await run(agent, script)).code, 0)
  const children = () => readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
  await pollUntil('init without children', () => children() === '', { deadlineMs: 10_000 })
})

test('exec keeps stdout, stderr and stdin apart and ends after its output', async (t) => {
  const { agent } = await startTrialMachine(t)
  for (let round = 0; round < 20; round += 1) {
    assert.deepEqual(await run(agent, 'echo out; echo err >&2; exit 4'), {
      ...{ stdout: 'out\n', stderr: 'err\n', code: 4 },
    })
  }
  const cat = await agent.exec({ argv: ['cat'], env: path })
  cat.stdin.end('through and back')
  assert.equal((await text(cat.stdout)).toString(), 'through and back')
})

test('an entrypoint reads what it is sent to its end when it is to have input, and nothing otherwise', async (t) => {
  for (const hasInput of [true, false]) {
    const { agent } = await startTrialMachine(t)
    await agent.configure({
      argv: shell('if read x; then echo "got $x"; else echo none; fi; cat'),
      env: path,
      hasInput,
    })
    await agent.start()
    agent.stdin.end('sent\n')
    agent.stderr.resume()
    await seen(agent, hasInput ? 'got sent' : 'none')
    const state = await agent.waitForEntrypoint(({ phase }) => phase === 'exited')
    assert.deepEqual(state.phase === 'exited' && state.ending, { kind: 'exited', code: 0 })
  }
})

test('exec with a terminal has its size, its changes of size, and its end of input', async (t) => {
  const { agent } = await startTrialMachine(t)
  const tty = { columns: 132, rows: 43 }
  const script = 'stty size; test -t 1 && echo terminal; cat; stty size'
  const shellRun = await agent.exec({ argv: shell(script), env: path, tty })
  const all = text(shellRun.stdout)
  shellRun.resize({ columns: 100, rows: 50 })
  shellRun.stdin.end('typed\n')
  const out = (await all).replaceAll('\r', '')
  assert.match(out, /terminal\n[\s\S]*typed\n[\s\S]*50 100\n$/)
  assert.deepEqual(await shellRun.ended, { kind: 'exited', code: 0 })
})

test('signals reach the entrypoint and an exec, and an abandoned exec is killed', async (t) => {
  const { agent } = await startTrialMachine(t)
  const waits = 'trap "exit 9" USR1; echo up; while :; do sleep 0.01; done'
  await agent.configure({ argv: shell(waits), env: path })
  await agent.start()
  await seen(agent, 'up')
  await agent.signal(SIGUSR1)
  const state = await agent.waitForEntrypoint(({ phase }) => phase === 'exited')
  assert.deepEqual(state.phase === 'exited' && state.ending, { kind: 'exited', code: 9 })
  const sleeper = await agent.exec({ argv: ['sleep', '1000'], env: path })
  await sleeper.signal(SIGTERM)
  assert.deepEqual(await sleeper.ended, { kind: 'signaled', signal: SIGTERM })
  const other = await agent.exec({ argv: ['sleep', '1000'], env: path })
  other.abandon()
  assert.deepEqual(await other.ended, { kind: 'signaled', signal: SIGKILL })
})

test('100 MB of output arrive whole while the memory of init stays small', async (t) => {
  const { agent, pid } = await startTrialMachine(t)
  const bytes = 100_000_000
  const running = await agent.exec({
    argv: shell(`head -c ${bytes} /dev/urandom | tee /tmp/copy; sha256sum < /tmp/copy >&2`),
    env: path,
  })
  running.stdin.end()
  const hash = createHash('sha256')
  let received = 0
  let residentMax = 0
  const stderr = text(running.stderr)
  for await (const piece of running.stdout) {
    hash.update(piece)
    received += piece.length
    residentMax = Math.max(residentMax, residentBytesOf(pid))
  }
  assert.equal(received, bytes)
  assert.equal((await stderr).split(' ')[0], hash.digest('hex'))
  assert(residentMax < 4_000_000, `init grew to ${residentMax} bytes`)
})

test('a reader that stops makes the writer wait, and nobody else', async (t) => {
  const { agent } = await startTrialMachine(t)
  const flood = await agent.exec({ argv: ['cat', '/dev/zero'], env: path })
  assert.equal((await run(agent, 'echo still here')).stdout, 'still here\n')
  await agent.stats()
  flood.abandon()
  flood.stdout.resume()
  assert.deepEqual(await flood.ended, { kind: 'signaled', signal: SIGKILL })
})

test('files are copied both ways, byte for byte', async (t) => {
  const { agent } = await startTrialMachine(t)
  for (const size of [0, 1, 16_384, 3_000_001]) {
    const bytes = randomBytes(size)
    await agent.putFile(Readable.from([bytes]), { path: '/tmp/file', mode: 0o4755 })
    assert.deepEqual(await buffer(await agent.getFile('/tmp/file')), bytes)
  }
  assert.equal((await run(agent, 'stat -c %a /tmp/file')).stdout, '4755\n')
})

test('files are served by SFTP: written, renamed, listed, read and removed, and a path that is not there is told', async (t) => {
  const { agent, root } = await startTrialMachine(t)
  mkdirSync(join(root, 'srv'))
  const { stdin, stdout, ended } = await agent.sftp()
  const asked = new SftpTrial(stdin, stdout)
  await asked.begin()
  const bytes = randomBytes(40_000)
  const handle = await asked.open('/srv/new', 0x2 | 0x8) // to write, made
  await asked.write(handle, bytes.subarray(0, 20_000), 0)
  await asked.write(handle, bytes.subarray(20_000), 20_000)
  await asked.status(4, sftpText(handle)) // close
  await asked.status(18, sftpText('/srv/new'), sftpText('/srv/name')) // rename
  assert.deepEqual(readFileSync(join(root, 'srv/name')), bytes)
  const reading = await asked.open('/srv/name', 0x1)
  assert.deepEqual(await asked.read(reading, 39_990, 100), bytes.subarray(39_990))
  assert.deepEqual(await asked.list('/srv'), ['.', '..', 'name'])
  await asked.status(13, sftpText('/srv/name')) // remove
  await assert.rejects(asked.open('/srv/name', 0x1), /status 2/)
  await assert.rejects(asked.status(99), /status 8/)
  await assert.rejects(asked.read(Buffer.from('gone'), 0, 1), /status/)
  stdin.end()
  assert.deepEqual(await ended, { kind: 'exited', code: 0 })
})

test('a copy that breaks off leaves the old file and nothing else', async (t) => {
  const { agent, root } = await startTrialMachine(t)
  await agent.putFile([Buffer.from('old')], { path: '/tmp/file' })
  const broken = Readable.from(
    (async function* () {
      yield randomBytes(100_000)
      throw new Error('the source broke')
    })(),
  )
  await assert.rejects(agent.putFile(broken, { path: '/tmp/file' }))
  await pollUntil('one file', () => readdirSync(join(root, 'tmp')).length === 1, {
    deadlineMs: 10_000,
  })
  assert.equal(readFileSync(join(root, 'tmp/file'), 'utf8'), 'old')
  await assert.rejects(agent.getFile('/tmp'), { code: 'guest.request_failed' })
})

test('a TCP connection is dialled into the machine, and a refusal is an error', async (t) => {
  const { agent } = await startTrialMachine(t)
  await agent.configure({ argv: shell('nc -l -p 8080 -e cat'), env: path })
  await agent.start()
  const connection = await pollUntil(
    'a listener',
    () =>
      agent.dial('127.0.0.1', 8080).catch((error: unknown) => {
        if (error instanceof AgentError && error.code === 'guest.request_failed') return undefined
        throw error
      }),
    { deadlineMs: 10_000 },
  )
  const bytes = randomBytes(1_000_000)
  connection.end(bytes)
  assert.deepEqual(await buffer(connection), bytes)
  await assert.rejects(agent.dial('127.0.0.1', 9), { code: 'guest.request_failed' })
})

test('who connects to the socket in the machine reaches the host, one after the other and all at once', async (t) => {
  const { agent, root } = await startTrialMachine(t)
  await agent.configure({ argv: shell('test -S /.fly/api && sleep 100'), env: path })
  const socket = '/.fly/api'
  const first = agent.accept(socket)
  await agent.start() // finds it there
  const connect = () => createConnection({ path: join(root, socket) })
  const bytes = randomBytes(300_000)
  const ours = connect()
  const theirs = await first
  ours.end(bytes)
  theirs.end('heard')
  assert.deepEqual(await buffer(theirs), bytes)
  assert.equal(String(await buffer(ours)), 'heard')

  const waiting = [connect(), connect()] // nobody accepts yet
  const accepted = [await agent.accept(socket), await agent.accept(socket)]
  for (const connection of accepted) connection.end('later')
  for (const connection of waiting) assert.equal(String(await buffer(connection)), 'later')
  await assert.rejects(agent.accept('/other'), { code: 'guest.request_failed' })
  await assert.rejects(agent.accept('other'), { code: 'guest.request_failed' })
})

test('an accept that was given up leaves the connection to the next', async (t) => {
  const { agent, root } = await startTrialMachine(t)
  await agent.configure({ argv: shell('sleep 100'), env: path })
  const giveUp = new AbortController()
  const given = agent.accept('/run/api', { signal: giveUp.signal })
  await agent.start()
  giveUp.abort(new Error('enough'))
  await assert.rejects(given, /enough/)
  const ours = createConnection({ path: join(root, 'run/api') })
  const theirs = await agent.accept('/run/api')
  theirs.end('heard')
  assert.equal(String(await buffer(ours)), 'heard')
})

test('a socket is made before the command runs, or not at all', async (t) => {
  const { agent, root } = await startTrialMachine(t)
  await agent.configure({ argv: shell('sleep 100'), env: path })
  await agent.start()
  await assert.rejects(agent.accept('/.fly/api'), { code: 'guest.request_failed' })
  assert.equal(existsSync(join(root, '.fly')), false)
})

test('the statistics say what the machine has', async (t) => {
  const { agent } = await startTrialMachine(t)
  await agent.configure({ argv: ['true'] })
  const { memory, processes, disks, interfaces } = await agent.stats()
  assert(memory.totalBytes > memory.availableBytes && memory.availableBytes > 0)
  assert(processes.total > 0)
  assert.deepEqual(
    disks.map((disk) => disk.path),
    ['/'],
  )
  assert.deepEqual(
    interfaces.map(({ name }) => name),
    ['lo'],
  )
})

test('a host that comes back finds the state, and no byte of output is lost or doubled', async (t) => {
  const { agent, reconnect } = await startTrialMachine(t)
  await agent.configure({ argv: shell('seq 1 200000; sleep 1000'), env: path })
  await agent.start()
  let before = 0
  for await (const piece of agent.stdout) {
    before += piece.length
    if (before > 300_000) break
  }
  agent.close()
  const next = await reconnect()
  assert.equal(next.entrypoint.phase, 'running')
  const from = Number(next.welcome.stdoutOffset)
  assert(from <= before + 65_536 * 4, 'nothing unread was acknowledged beyond the buffers')
  const expected = Array.from({ length: 200_000 }, (_, index) => `${index + 1}\n`).join('')
  let rest = ''
  for await (const piece of next.stdout) {
    rest += piece
    if (rest.length >= expected.length - from) break
  }
  assert.equal(rest, expected.slice(from))
})

test('a configuration of many frames arrives, and one too large is refused', async (t) => {
  const { agent } = await startTrialMachine(t)
  const big = 'x'.repeat(100_000)
  const all = text(agent.stdout)
  await runMain(agent, { argv: shell('echo -n "$BIG" | wc -c'), env: { ...path, BIG: big } })
  const huge = Object.fromEntries(Array.from({ length: 12 }, (_, index) => [`V${index}`, big]))
  await assert.rejects(agent.configure({ argv: ['true'], env: huge }), {
    code: 'guest.request_failed',
  })
  agent.close()
  assert.equal(await all, '100000\n')
})

test('more streams than init has room for are refused, and none leaks a descriptor', async (t) => {
  const { agent, pid } = await startTrialMachine(t)
  const before = descriptorsOf(pid)
  const sleep = () => agent.exec({ argv: ['sleep', '1000'], env: path })
  const all = await Promise.all(Array.from({ length: 32 }, sleep))
  await assert.rejects(sleep(), { code: 'guest.too_many_streams' })
  for (const one of all) one.abandon()
  await Promise.all(all.map(({ ended }) => ended))
  for (let round = 0; round < 50; round += 1) await run(agent, ':')
  assert.equal(descriptorsOf(pid), before)
})

test('a shutdown delivers the last output, stops everybody and ends with the code', async (t) => {
  const { agent, exited } = await startTrialMachine(t)
  const script = 'trap "seq 1 20000; exit 6" TERM; sleep 1000 & echo up; wait'
  await agent.configure({ argv: shell(script), env: path })
  await agent.start()
  await seen(agent, 'up')
  const all = text(agent.stdout)
  await agent.shutdown({ stopSignal: SIGTERM, timeoutMs: 5_000 })
  assert.equal(await exited(), 6)
  assert((await all).endsWith('19999\n20000\n'))
})

test("clock, entropy and devices of a container are its host's: requests for them change nothing", async (t) => {
  const { agent } = await startTrialMachine(t)
  const before = Date.now()
  await agent.setClock(0)
  await agent.reseed(randomBytes(64))
  await agent.findDevices()
  const { stdout } = await run(agent, 'date +%s')
  assert.ok(Number(stdout) * 1000 >= before - 1000)
})
