/**
 * bin/bootstrap.mjs in a checkout of its own, with stand-ins for npm, the pinned Node and set-up
 * that log what was asked of them.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import test, { type TestContext } from 'node:test'

const bin = join(import.meta.dirname, '..', 'bin')
const WAIT_MS = 20_000

/** Waits in npm for the file `hold` to go, so that a test can look while it works. */
const FAKE_NPM = `#!/bin/sh
echo "npm $1" >>log
rm -rf node_modules; mkdir node_modules; echo half >node_modules/half
while [ -e hold ]; do sleep 0.02; done
[ -e npm-fails ] && { echo "no registry" >&2; exit 1; }
exit 0
`
const FAKE_NODE = `#!/bin/sh
exec '${process.execPath}' --disable-warning=ExperimentalWarning "$@"
`
const FAKE_SETUP = `
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs'
const tests = process.argv.includes('--tests')
appendFileSync('log', tests ? 'set-up for tests\\n' : 'set-up\\n')
writeFileSync('proof', '')
mkdirSync('build', { recursive: true })
writeFileSync('build/setup.json', JSON.stringify({ key: process.argv[2], tests, paths: ['proof'] }))
`
const SCRIPT = `
if (process.argv[2] === 'wait') {
  process.on('SIGTERM', () => process.exit(43))
  console.log('waiting')
  setInterval(() => {}, 1000)
} else if (process.argv[2] === 'die') process.kill(process.pid, 'SIGKILL')
else {
  console.log(JSON.stringify(process.argv.slice(2)))
  process.exitCode = 42
}
`

function checkout(t: TestContext) {
  const root = mkdtempSync(join(tmpdir(), 'bootstrap-'))
  t.after(() => rmSync(root, { recursive: true, force: true }))
  const put = (path: string, text: string, mode = 0o644) => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
    chmodSync(join(root, path), mode)
  }
  for (const name of ['bootstrap.mjs', 'bootstrap-modules.mjs', 'bootstrap-process.mjs']) {
    mkdirSync(join(root, 'bin'), { recursive: true })
    copyFileSync(join(bin, name), join(root, 'bin', name))
  }
  put('tools/npm', FAKE_NPM, 0o755)
  put('bin/node', FAKE_NODE, 0o755)
  put('src/setup/main.ts', FAKE_SETUP)
  put('native/init/init.c', 'int main(void) { return 0; }\n')
  put('native/bpf/network.c', 'int packets;\n')
  put('script.ts', SCRIPT)
  for (const name of ['package-lock.json', 'package.json', '.npmrc']) put(name, '{}')
  put('package.json', '{"type":"module"}')
  put('log', '')
  const env = { ...process.env, PATH: `${join(root, 'tools')}:${process.env['PATH']}` }
  const args = (given: string[]) => [join(root, 'bin', 'bootstrap.mjs'), ...given]
  return {
    put,
    root,
    remove: (path: string) => rmSync(join(root, path)),
    log: () => readFileSync(join(root, 'log'), 'utf8').split('\n').filter(Boolean),
    has: (path: string) => existsSync(join(root, path)),
    run(...given: string[]) {
      const options = { cwd: root, env, encoding: 'utf8', timeout: WAIT_MS } as const
      return spawnSync(process.execPath, args(given), options)
    },
    start(...given: string[]): ChildProcess {
      const child = spawn(process.execPath, args(given), { cwd: root, env, detached: true })
      t.after(() => child.exitCode ?? child.kill('SIGKILL'))
      return child
    },
  }
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = AbortSignal.timeout(WAIT_MS)
  while (!condition()) {
    assert(!deadline.aborted, `never: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

test('the first start installs, sets up and runs the script; the second only runs it', (t) => {
  const here = checkout(t)
  const first = here.run('--', 'script.ts', 'a b', '--quiet')
  assert.equal(first.status, 42, first.stderr)
  assert.deepEqual(JSON.parse(first.stdout), ['a b', '--quiet'])
  assert.deepEqual(here.log(), ['npm ci', 'set-up'])
  const second = here.run('--', 'script.ts')
  assert.equal(second.status, 42)
  assert.match(second.stderr, /^set-up: ready, nothing to do \(\d+\.\d\d s\)\n$/)
  assert.deepEqual(here.log(), ['npm ci', 'set-up'])
})

test('what tests need is installed when tests are asked for, and serves the rest as well', (t) => {
  const here = checkout(t)
  here.run('--', 'script.ts')
  here.run('--tests', '--', 'script.ts')
  here.run('--tests', '--', 'script.ts')
  here.run('--', 'script.ts')
  assert.deepEqual(here.log(), ['npm ci', 'set-up', 'set-up for tests'])
})

test('quiet and with nothing to do, not a byte is added to what the script prints', (t) => {
  const here = checkout(t)
  here.run()
  const { stdout, stderr } = here.run('--quiet', '--', 'script.ts')
  assert.deepEqual([stdout, stderr], ['[]\n', ''])
})

test('a changed lock file, changed sources of set-up and a lost file each bring the work back', (t) => {
  const here = checkout(t)
  here.run()
  here.put('package-lock.json', '{"changed":true}')
  here.run()
  assert.deepEqual(here.log().slice(2), ['npm ci', 'set-up']) // which finds its own work done
  here.put('src/setup/packages.json', '[]')
  here.run()
  assert.deepEqual(here.log().slice(4), ['set-up'])
  here.put('native/init/init.c', 'int main(void) { return 1; }\n')
  here.run()
  assert.deepEqual(here.log().slice(5), ['set-up'])
  here.remove('proof')
  here.run()
  assert.deepEqual(here.log().slice(6), ['set-up'])
  here.put('build/setup.json', '{"key":')
  here.run()
  assert.deepEqual(here.log().slice(7), ['set-up'])
})

test('an npm that was killed half-way is run again', async (t) => {
  const here = checkout(t)
  here.put('hold', '')
  const child = here.start()
  await until('npm began', () => here.has('node_modules/half'))
  process.kill(-(child.pid ?? 0), 'SIGKILL') // bootstrap, its helper and npm
  await once(child, 'exit')
  here.remove('hold')
  assert.equal(here.run().status, 0)
  assert.deepEqual(here.log(), ['npm ci', 'npm ci', 'set-up'])
})

test('of two starts at once one works and the other waits for it', async (t) => {
  const here = checkout(t)
  here.put('hold', '')
  const first = here.start()
  await until('npm began', () => here.has('node_modules/half'))
  const second = here.start()
  let said = ''
  second.stderr?.on('data', (text) => {
    said += text
  })
  await until('the second waits', () => said.includes('waiting for it'))
  const ended = Promise.all([once(first, 'exit'), once(second, 'exit')])
  here.remove('hold')
  assert.deepEqual(await ended, [
    [0, null],
    [0, null],
  ])
  assert.deepEqual(
    here.log().filter((line) => line === 'npm ci'),
    ['npm ci'],
  )
})

test('an npm that fails is quoted, ends with 1 and does not start the script', (t) => {
  const here = checkout(t)
  here.put('npm-fails', '')
  const { status, stdout, stderr } = here.run('--', 'script.ts')
  assert.deepEqual([status, stdout], [1, ''])
  assert.match(stderr, /no registry\nerror: npm could not install.*\nfix: /)
})

test('a signal reaches the script, and its exit code comes back', async (t) => {
  const here = checkout(t)
  here.run()
  const child = here.start('--', 'script.ts', 'wait')
  let said = ''
  child.stdout?.on('data', (text) => {
    said += text
  })
  await until('the script runs', () => said.includes('waiting'))
  child.kill('SIGTERM')
  assert.deepEqual(await once(child, 'exit'), [43, null])
})

test('a script that a signal ended ends us by the same signal', (t) => {
  const here = checkout(t)
  here.run()
  assert.equal(here.run('--', 'script.ts', 'die').signal, 'SIGKILL')
})

test('an unknown argument is refused before anything is done', (t) => {
  const here = checkout(t)
  assert.equal(here.run('--loud').status, 64)
  assert.deepEqual(here.log(), [])
})

test('without root, a library that the pinned Node lacks is named with all other packages', (t) => {
  if (process.getuid?.() !== 0) return t.skip('this test gives up root')
  const here = checkout(t)
  const broken =
    'echo "node: error while loading shared libraries: libatomic.so.1: no" >&2; exit 127'
  here.put('bin/node', `#!/bin/sh\n${broken}\n`, 0o755)
  here.put(
    'src/setup/packages.json',
    '[{"name":"ours","proof":"no-such-command","why":"a reason"},{"name":"sh","proof":"sh","why":"x"},{"name":"peer","proof":"no-peer","why":"x","for":"tests"}]',
  )
  const node = join(here.root, 'node') // ours may lie where only root may go
  copyFileSync(process.execPath, node)
  spawnSync('chown', ['-R', '65534:65534', here.root])
  const { status, stderr } = spawnSync(
    'setpriv',
    ['--reuid=65534', '--clear-groups', node, join(here.root, 'bin/bootstrap.mjs')],
    {
      cwd: here.root,
      encoding: 'utf8',
      env: { PATH: `${join(here.root, 'tools')}:${process.env['PATH']}` },
    },
  )
  assert.equal(status, 77, stderr)
  assert.match(stderr, /apt-get install --no-install-recommends libatomic1 ours$/m)
  assert.match(stderr, / ours +a reason/)
})
