import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { listPlanets, removePlanet } from '#planet'
import { takeSnapshot } from './leftovers.ts'
import { eventually } from './planet-world.ts'

interface Finished {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const godwit = (...args: string[]) =>
  new Promise<Finished>((resolve) => {
    execFile('bin/godwit', args, { timeout: 60_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr })
    })
  })

const hasNothing = (planet: string) =>
  assert.deepEqual(
    takeSnapshot().filter((line) => line.includes(planet)),
    [],
  )

function topologyFile(t: TestContext, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-topology-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'world.toml')
  writeFileSync(file, text)
  return file
}

const box = readFileSync('topologies/box.toml', 'utf8')

for (const [what, text, expected] of [
  ['an unknown region', box.replace('["ams", "iad"]', '["ams", "xyz"]'), /links\[0\]\.between/],
  [
    'overlapping addresses',
    box.replace('203.0.113.0/24', '198.18.0.0/20'),
    /anycast\.prefixes\[0\]/,
  ],
  ['a name too long', box.replace('nrt-client', 'nrt-client-in-tokyo'), /clients\[2\]\.name/],
  ['an unknown key', `${box}\nweight = 3\n`, /weight/],
  ['a wrong type', box.replace('hosts = 2', 'hosts = "two"'), /regions.*hosts/],
  ['text that is no TOML', `${box}\n[[[`, /world\.toml/],
] as const) {
  test(`a topology with ${what} is refused by key, and nothing is created`, async (t) => {
    const { code, stderr } = await godwit(
      'planet',
      'up',
      '-p',
      'refused',
      '-t',
      topologyFile(t, text),
    )
    assert.notEqual(code, 0)
    assert.match(stderr, expected)
    assert.doesNotMatch(stderr, /node:internal/, 'a message, not a stack')
    hasNothing('refused')
  })
}

test('a file that is not there is named', async () => {
  const { code, stderr } = await godwit('planet', 'up', '-p', 'refused', '-t', '/nonexistent.toml')
  assert.notEqual(code, 0)
  assert.match(stderr, /\/nonexistent\.toml/)
})

test('a planet is built, told about, used and removed by the command line', async (t) => {
  t.after(() => removePlanet('told'))
  const up = await godwit('planet', 'up', '-p', 'told', '--no-latency', '--json')
  assert.equal(up.code, 0, up.stderr)
  assert.equal(JSON.parse(up.stdout).nodes.length, 16)
  const again = await godwit('planet', 'up', '-p', 'told', '--no-latency')
  assert.equal(again.code, 0, again.stderr)
  const other = await godwit('planet', 'up', '-p', 'told')
  assert.match(other.stderr, /another topology/)
  const exec = await godwit('planet', 'exec', '-p', 'told', 'nrt-1', '--', 'sh', '-c', 'exit 7')
  assert.equal(exec.code, 7)
  assert.equal((await godwit('planet', 'cut', '-p', 'told', 'ams', 'iad', '--silent')).code, 0)
  const status = JSON.parse((await godwit('planet', 'status', '-p', 'told', '--json')).stdout)
  assert.deepEqual(status.links[0].cut, { silent: true })
  const unknown = await godwit('planet', 'kill', '-p', 'told', 'nowhere')
  assert.match(unknown.stderr, /no such node.*ams-1/s)
  assert.match((await godwit('planet', 'down', '-p', 'told')).stdout, /removed told/)
  assert.match((await godwit('planet', 'status', '-p', 'told')).stderr, /no such planet/)
  hasNothing('told')
})

for (const [at, step] of ['making', 'laying', 'starting the routers', 'waiting'].entries()) {
  test(`what a builder leaves that is killed while ${step} is removed by down`, async (t) => {
    const planet = `killed${at}`
    t.after(() => removePlanet(planet))
    const child = spawn('bin/godwit', ['planet', 'up', '-p', planet, '--no-latency'])
    let told = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      told += text
      if (told.includes(step)) child.kill('SIGKILL')
    })
    await new Promise((resolve) => child.once('exit', resolve))
    assert(listPlanets().includes(planet), `nothing was left: ${told}`)
    const { code, stdout } = await godwit('planet', 'down', '-p', planet)
    assert.equal(code, 0)
    assert.match(stdout, /removed/)
    hasNothing(planet)
  })
}

test('an interrupted build removes what it made, and a second one may begin', async (t) => {
  t.after(() => removePlanet('stopped'))
  const child = spawn('bin/godwit', ['planet', 'up', '-p', 'stopped', '--no-latency'])
  let told = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (!told.includes('waiting') && text.includes('waiting')) child.kill('SIGINT')
    told += text
  })
  const code = await new Promise((resolve) => child.once('exit', resolve))
  assert.notEqual(code, 0)
  await eventually(
    'the folder',
    () => listPlanets().includes('stopped'),
    (is) => !is,
  )
  hasNothing('stopped')
})

test('a planet that is being built cannot be removed at the same time', async (t) => {
  t.after(() => removePlanet('busy'))
  const child = spawn('bin/godwit', ['planet', 'up', '-p', 'busy'])
  const ended = new Promise((resolve) => child.once('exit', resolve))
  await new Promise<void>((resolve) => child.stderr.once('data', () => resolve()))
  const { code, stderr } = await godwit('planet', 'down', '-p', 'busy')
  assert.notEqual(code, 0)
  assert.match(stderr, /another process/)
  assert.equal(await ended, 0)
})
