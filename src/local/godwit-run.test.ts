import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { pollUntil } from '#base'
import { startRealRegistry } from '#image'
import { TrialFolder } from './trial-image.fixture.ts'

const GODWIT = join(import.meta.dirname, '../../bin/godwit')
const STATE_MS = 60_000

describe('godwit run', () => {
  let folder: TrialFolder
  let registry: Awaited<ReturnType<typeof startRealRegistry>>
  let image: string
  const env = () => ({ ...process.env, GODWIT_LOCAL_DIR: folder.stateDir })
  const godwit = (...words: string[]) =>
    spawnSync(GODWIT, words, { encoding: 'utf8', env: env(), timeout: STATE_MS })
  const begin = (words: string[], prefix: string[] = []) => {
    const [command = '', ...rest] = [...prefix, GODWIT, ...words]
    return spawn(command, rest, { env: env(), stdio: ['pipe', 'pipe', 'pipe'] })
  }
  const list = () => JSON.parse(godwit('local', 'list', '--all', '--json').stdout)

  before(async () => {
    folder = new TrialFolder()
    registry = await startRealRegistry(folder.path)
    await registry.push(folder.makeImage(), 'team/box:v1')
    image = `${registry.host}/team/box:v1`
  })
  after(async () => {
    await registry[Symbol.asyncDispose]()
    await folder[Symbol.asyncDispose]()
  })

  test('an image of a registry runs as it and the flags say; the exit code is the command’s', () => {
    const local = join(folder.path, 'local.conf')
    writeFileSync(local, 'from here\n')
    const script =
      'echo "$FROM $MINE $(id -u):$(id -g):$(id -G) $(pwd) $(hostname)"; cat /etc/a /etc/b; exit 7'
    const flags = ['-e', 'MINE=flag', '--hostname', 'box', '--file-literal', '/etc/b=literal']
    const files = ['--file-local', `/etc/a=${local}`]
    const ran = godwit('run', '--rm', ...flags, ...files, image, '--', 'sh', '-c', script)
    assert.equal(
      ran.stdout,
      'image flag 1000:1000:1000 77 /home/app box\nfrom here\nliteral',
      ran.stderr,
    )
    assert.equal(ran.status, 7)
    assert.match(ran.stderr, /^pull: \S+ [kM]B in .*\nunpack: \S+ MB in /)
    const other = godwit('run', '--rm', '-u', 'root', '-w', '/tmp', image, 'sh', '-c', 'id -u; pwd')
    assert.equal(other.stdout, '0\n/tmp\n')
    assert.equal(other.stderr, '')
    assert.deepEqual(list(), [])
  })

  test('a bootstrapped Debian of a registry runs', async () => {
    await registry.push(folder.makeDebian(), 'team/debian:12')
    const script = `
      open my $file, '<', '/etc/os-release'; print grep { /^ID/ } <$file>;
      printf "%o %d\\n", (stat '/usr/bin/passwd')[2] & 07777, $<`
    const words = ['--network', 'none', `${registry.host}/team/debian:12`, 'perl', '-e', script]
    const ran = godwit('run', '--rm', ...words)
    assert.equal(ran.stdout, 'ID=debian\n4755 0\n', ran.stderr)
  })

  test('volumes are kept between runs, and one can be read only', () => {
    const once = (volume: string, script: string) =>
      godwit('run', '--rm', '-v', volume, '--network', 'none', image, 'sh', '-c', script)
    assert.equal(once('data:/data', 'echo kept > /data/file; stat -c %u /data').stdout, '1000\n')
    assert.equal(
      once('data:/data:ro', 'cat /data/file; echo no > /data/file || echo refused').stdout,
      'kept\nrefused\n',
    )
    const [volume] = JSON.parse(godwit('local', 'volumes', '--json').stdout)
    assert.deepEqual([volume.name, volume.machines], ['data', []])
    godwit('local', 'volumes', '--destroy', 'data')
    assert.deepEqual(JSON.parse(godwit('local', 'volumes', '--json').stdout), [])
  })

  test('a detached machine runs on: it is listed, entered, read, stopped, started again, destroyed', async () => {
    const port = await freePort()
    const script = 'echo up; echo page > index.html; exec httpd -f -p 8080 -h /home/app'
    const flags = ['-d', '--json', '--name', 'web', '-p', `${port}:8080`, '--network', 'none']
    const started = godwit('run', ...flags, image, '--', 'sh', '-c', script)
    const { id } = JSON.parse(started.stdout)
    const page = () => fetch(`http://127.0.0.1:${port}/index.html`).then((got) => got.text())
    assert.equal(await untilServed(page), 'page\n')
    assert.deepEqual(
      list().map((one: { id: string; state: string }) => [one.id, one.state]),
      [[id, 'running']],
    )
    assert.equal(
      spawnSync(GODWIT, ['local', 'exec', 'web', '--', 'sh', '-c', 'cat; id -u; exit 5'], {
        ...{ encoding: 'utf8', env: env(), input: 'through ' },
      }).stdout,
      'through 1000\n',
    )
    assert.equal(godwit('local', 'exec', '-u', 'root', 'web', 'id', '-u').stdout, '0\n')
    assert.equal(godwit('local', 'exec', 'web', 'sh', '-c', 'exit 5').status, 5)
    assert.equal(godwit('local', 'logs', 'web').stdout, 'up\n')
    assert.match(godwit('run', '--name', 'web', image).stderr, /there is a machine of that name/)
    assert.equal(godwit('local', 'destroy', 'web').status, 1)
    assert.equal(godwit('local', 'stop', 'web').stdout, `${id} ended with 143 (SIGTERM)\n`)
    await assert.rejects(page())
    assert.equal(godwit('local', 'exec', 'web', 'true').status, 1)
    assert.equal(godwit('local', 'start', 'web').stdout, `${id}\n`)
    assert.equal(await untilServed(page), 'page\n')
    assert.equal(godwit('local', 'destroy', '--force', 'web').stdout, `${id}\n`)
    assert.deepEqual(list(), [])
  })

  test('as a virtual machine it is served, entered, read, stopped and destroyed as well', async () => {
    const port = await freePort()
    const script = 'echo up; echo page > index.html; exec httpd -f -p 8080 -h /home/app'
    const flags = ['-d', '--runtime', 'qemu', '--name', 'vm', '-p', `${port}:8080`]
    const started = godwit('run', ...flags, image, '--', 'sh', '-c', script)
    assert.equal(started.status, 0, started.stderr)
    const page = () => fetch(`http://127.0.0.1:${port}/index.html`).then((got) => got.text())
    assert.equal(await untilServed(page), 'page\n')
    const [{ id, runtime, state }] = list()
    assert.deepEqual([runtime, state], ['qemu', 'running'])
    const { accelerator } = records(folder)[0] ?? {}
    assert.ok(accelerator === 'kvm' || accelerator === 'tcg', 'it is tried what works here')
    const kernel = godwit('local', 'exec', 'vm', '--', 'cat', '/proc/sys/kernel/random/boot_id')
    assert.notEqual(kernel.stdout, readFileSync('/proc/sys/kernel/random/boot_id', 'utf8'))
    assert.equal(godwit('local', 'exec', 'vm', 'sh', '-c', 'exit 5').status, 5)
    assert.equal(godwit('local', 'logs', 'vm').stdout, 'up\n')
    assert.equal(godwit('local', 'stop', 'vm').stdout, `${id} ended with 143 (SIGTERM)\n`)
    assert.equal(godwit('local', 'destroy', 'vm').stdout, `${id}\n`)
    assert.deepEqual(list(), [])
    assert.deepEqual(readdirSync(join(folder.stateDir, 'guests/qemu')), [])
  })

  test('a terminal is passed on with its size and what is typed', async () => {
    const words = ['run', '--rm', '-it', '--network', 'none', image, 'sh', '-c']
    const script = 'stty size; read x; echo got $x'
    const inner = `stty cols 101 rows 33; ${[GODWIT, ...words].join(' ')} '${script}'`
    const terminal = spawn('script', ['-qec', inner, '/dev/null'], { env: env() })
    terminal.stdin.write('hello\n')
    const output = await text(terminal.stdout)
    assert.match(output, /33 101\r+\n/)
    assert.match(output, /got hello\r+\n/)
  })

  test('input is passed on without a terminal, to its end and without loss', () => {
    const bytes = Buffer.alloc(3 << 20, 'what goes in comes out\n')
    const words = ['run', '--rm', '-i', '--network', 'none', image]
    const options = { env: env(), input: bytes, maxBuffer: 16 << 20 }
    const copied = spawnSync(GODWIT, [...words, 'cat'], options)
    assert.equal(copied.status, 0, copied.stderr.toString())
    assert.ok(copied.stdout.equals(bytes), `${copied.stdout.length} bytes came back`)
    const unread = spawnSync(GODWIT, [...words, 'sh', '-c', 'exit 4'], options)
    assert.equal(unread.status, 4, unread.stderr.toString())
  })

  test('a signal to the command line stops its machine in order', async () => {
    const script = 'trap "echo bye; exit 9" TERM; echo up; while :; do sleep 0.1; done'
    const child = begin(['run', '--rm', '--network', 'none', image, 'sh', '-c', script])
    const output = text(child.stdout)
    await once(child.stdout, 'data')
    child.kill('SIGINT')
    const [code] = await once(child, 'exit')
    assert.equal(await output, 'up\nbye\n')
    assert.equal(code, 9)
    assert.deepEqual(list(), [])
  })

  test('what goes wrong is said with what to do, and nothing is left', async () => {
    await using taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as { port: number }
    const none = ['--network', 'none']
    const cases: [string[], RegExp][] = [
      [[`${registry.host}/team/none`], /no such|not found|does not have/i],
      [['--pull', 'never', `${registry.host}/team/box:v2`], /image is not here/],
      [[...none, image, '/no/such'], /could not start the entrypoint.*No such file/],
      [['-d', ...none, '-p', `${port}:80`, image], /port cannot be published.*\nfix: /],
      [[...none, '-u', 'stranger', image], /knows no such user/],
      [[...none, '-v', '/etc:/data', image], /--file-local/],
      [['-i', '-d', image], /cannot be detached/],
      [['oci:/nonexistent', ...none], /nonexistent/],
    ]
    for (const [words, expected] of cases) {
      const { status, stderr } = godwit('run', ...words)
      assert.match(stderr, expected, words.join(' '))
      assert.match(stderr, /fix: |error: /)
      assert.notEqual(status, 0)
    }
    assert.deepEqual(list(), [])
  })

  test('a machine that runs out of memory says so', () => {
    const hog = 'x=0123456789abcdef; while :; do x=$x$x; done'
    const flags = ['--rm', '-m', '48mb', '--network', 'none']
    const { status, stderr } = godwit('run', ...flags, image, 'sh', '-c', `exec sh -c '${hog}'`)
    assert.match(stderr, /ran out of memory\nfix: give it more than 48 MiB/)
    assert.equal(status, 137)
  })

  test('whoever keeps a detached machine may be killed: the next call goes on for it', async () => {
    const flags = ['-d', '--name', 'kept', '--network', 'none', image]
    godwit('run', ...flags, 'sh', '-c', 'echo one; while :; do sleep 0.1; done')
    process.kill(keeperOf(folder, 'kept'), 'SIGKILL')
    const [{ id, state }] = list()
    assert.equal(state, 'running')
    assert.equal(godwit('local', 'exec', 'kept', 'echo', 'alive').stdout, 'alive\n')
    assert.equal(godwit('local', 'logs', 'kept').stdout, 'one\n')
    assert.equal(godwit('local', 'destroy', '-f', 'kept').stdout, `${id}\n`)
  })

  test('killed at any moment, command line or keeper, nothing is left after the next call', async () => {
    const script = 'while :; do sleep 0.1; done'
    for (const delayMs of [200, 500, 800, 1_100, 1_600]) {
      // Without --rm one that has come far enough to start stays, as it should, with its end.
      const child = begin(['run', '--rm', '--network', 'none', image, 'sh', '-c', script])
      child.stdout.resume()
      child.stderr.resume()
      const killing = setTimeout(() => child.kill('SIGKILL'), delayMs)
      await gone(child)
      clearTimeout(killing)
      const killKeeper = () => {
        const keeper = keeperIfAny(folder)
        if (keeper !== undefined) killIfThere(keeper)
      }
      killKeeper()
      await pollUntil(
        'nothing to be left',
        () => {
          killKeeper() // it may have begun only after its command line was killed
          return godwit('local', 'list', '--all').stdout.split('\n').length === 2
        },
        { deadlineMs: 3 * STATE_MS },
      )
    }
    const kinds = ['pool/mounted/devices', 'pool/devices'].map((path) =>
      join(folder.stateDir, path),
    )
    const devices = kinds.filter(existsSync).flatMap((path) => readdirSync(path))
    assert.ok(
      devices.every((name) => name.startsWith('base-')),
      devices.join(' '),
    )
    assert.deepEqual(readdirSync(join(folder.stateDir, 'machines')), [])
    assert.deepEqual(readdirSync(join(folder.stateDir, 'guests/runc')), [])
  })

  test('without its registry an image that was pulled runs; --pull always says what is wrong', async () => {
    await registry[Symbol.asyncDispose]()
    assert.equal(godwit('run', '--rm', '--network', 'none', image, 'echo', 'hi').stdout, 'hi\n')
    const { status, stderr } = godwit('run', '--rm', '--pull', 'always', image, 'true')
    assert.notEqual(status, 0)
    assert.match(stderr, /registry/)
  })
})

async function freePort(): Promise<number> {
  await using server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as { port: number }).port
}

const untilServed = (page: () => Promise<string>) =>
  pollUntil('the page', () => page().catch(() => undefined), { deadlineMs: STATE_MS })

interface Kept {
  readonly name: string
  readonly accelerator?: string
  readonly actor?: { readonly pid: number }
}

function records(folder: TrialFolder): Kept[] {
  const all = join(folder.stateDir, 'machines')
  const paths = execFileSync('find', [all, '-name', 'record.json']).toString().trim().split('\n')
  return paths
    .filter((path) => path !== '')
    .map((path) => JSON.parse(execFileSync('cat', [path]).toString()))
}

function keeperOf(folder: TrialFolder, name: string): number {
  const pid = records(folder).find((one) => one.name === name)?.actor?.pid
  assert.ok(pid)
  return pid
}

function keeperIfAny(folder: TrialFolder): number | undefined {
  try {
    return records(folder)[0]?.actor?.pid
  } catch {
    return undefined // the record goes as we look
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // it has ended
  }
}

async function gone(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}
