import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import test from 'node:test'
import { World } from '#planet'
import { eventually } from './planet-world.ts'

const GODWIT = resolve(import.meta.dirname, '../bin/godwit')
const PLANET = 'up'
const UP = ['up', '--planet', PLANET, '--no-latency', '--api-port', '0', '--web-port', '0']
const DEADLINE_MS = 400_000
const REGIONS = ['ams', 'iad', 'nrt']

test('a newcomer has the platform up with one command, uses it, and removes it with another', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-up-'))
  const env = { ...process.env, GODWIT_PROFILE: join(folder, 'cli.json') }
  const godwit = (...words: readonly string[]) =>
    new Promise<{ code: number; stdout: string; stderr: string }>((done) => {
      const options = { env, timeout: DEADLINE_MS, maxBuffer: 16 << 20 }
      execFile(GODWIT, words, options, (error, stdout, stderr) =>
        done({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr }),
      )
    })
  const must = async (...words: readonly string[]) => {
    const { code, stdout, stderr } = await godwit(...words)
    assert.equal(code, 0, `godwit ${words.join(' ')}: ${stdout}${stderr}`)
    return { stdout, stderr }
  }
  t.after(async () => {
    await godwit('down', '--planet', PLANET)
    rmSync(folder, { recursive: true })
  })
  interface Shown {
    readonly id: string
    readonly region: string
    readonly state: string
  }
  const machines = async (): Promise<Shown[]> =>
    JSON.parse((await must('status', '-a', 'hello', '--json')).stdout).machines
  let first: readonly Shown[] = []

  await t.test('up ends with a machine in each region, and says what each answers', async () => {
    const { stdout, stderr } = await must(...UP)
    for (const region of REGIONS) assert.match(stdout, new RegExp(`Hello from ${region}: machine`))
    assert.match(stderr, /ams-1 is ready/)
    assert.match(stdout, /Visit it/, 'no edge leads to the app')
    first = await machines()
    assert.deepEqual(first.map(({ region }) => region).sort(), REGIONS)
    assert.ok(first.every(({ state }) => state === 'started'))
  })

  await t.test('the command line works right after, from a client city too', async () => {
    const isTold = ({ stdout }: { stdout: string }) =>
      REGIONS.every((region) => stdout.includes(`serving on port 8080 in ${region}`))
    const look = () => must('logs', '-a', 'hello', '--no-tail')
    await eventually('the log of all regions', look, isTold, DEADLINE_MS)
    const inside = (...line: string[]) => must('planet', 'exec', '-p', PLANET, ...line)
    const id = first.find(({ region }) => region === 'nrt')?.id ?? ''
    const ask = [
      'machine',
      'exec',
      '-a',
      'hello',
      id,
      '--',
      'wget',
      '-qO-',
      'http://127.0.0.1:8080/',
    ]
    const city = ['nrt-client', '--', 'env', '-u', 'GODWIT_PROFILE'] // it has a profile of its own
    const there = await inside(...city, 'godwit', ...ask)
    assert.match(there.stdout, /Hello from nrt/)
    const visit = ['curl', '-sS', '--max-time', '60', '-H', 'host: hello.godwit.localhost']
    const page = await inside('iad-client', '--', ...visit, 'http://203.0.113.1')
    assert.match(page.stdout, /Hello from iad/)
    const { stdout } = await inside('iad-2', '--', 'godwit', 'host', 'list', '--json')
    assert.equal(JSON.parse(stdout).length, 6)
  })

  await t.test(
    'any machine is entered: commands, files and ports, by ours and by any ssh',
    async () => {
      const of = ['-a', 'hello', '-r', 'nrt']
      const id = first.find(({ region }) => region === 'nrt')?.id ?? ''
      const line = 'echo out; echo err >&2; exit 7'
      const ran = await godwit('ssh', 'console', ...of, '-C', line)
      assert.deepEqual(ran, { code: 7, stdout: 'out\n', stderr: 'err\n' })
      const [file, back] = [join(folder, 'file'), join(folder, 'back')]
      const bytes = randomBytes(1_000_000)
      writeFileSync(file, bytes)
      await must('ssh', 'sftp', 'put', file, '/srv-file', ...of)
      await must('ssh', 'sftp', 'get', '/srv-file', back, ...of)
      assert.deepEqual(readFileSync(back), bytes)
      const missing = await godwit('ssh', 'sftp', 'get', '/nowhere', back, ...of, '--force')
      assert.match(missing.stderr, /No such file.*\/nowhere/)
      await must('ssh', 'issue', '-a', 'hello', join(folder, 'key'))
      const options = ['StrictHostKeyChecking=no', `UserKnownHostsFile=${folder}/known`]
      const all = [...options, `ProxyCommand=${GODWIT} ssh stdio -a hello %h`]
      const words = ['-F', 'none', '-i', join(folder, 'key'), ...all.flatMap((one) => ['-o', one])]
      const hostname = await new Promise<string>((done, failed) =>
        execFile('ssh', [...words, `root@${id}`, 'uname -n'], { env }, (error, stdout, stderr) =>
          error ? failed(new Error(stderr)) : done(stdout.trim()),
        ),
      )
      assert.equal(hostname, id)
      const proxy = spawn(GODWIT, ['proxy', '0:8080', id, '-a', 'hello', '--json'], { env })
      try {
        const signal = AbortSignal.timeout(60_000)
        const [told] = await once(proxy.stdout, 'data', { signal })
        const page = await fetch(`http://127.0.0.1:${JSON.parse(String(told)).port}/`)
        assert.match(await page.text(), /Hello from nrt/)
      } finally {
        proxy.kill()
      }
    },
  )

  await t.test('up again leaves what stands, and brings back what does not', async () => {
    const world = World.open(PLANET)
    const dead = (await machines()).find(({ region }) => region === 'iad')
    await must('machine', 'destroy', dead?.id ?? '', '-a', 'hello', '--force')
    await world.kill('nrt-2')
    await must(...UP)
    const after = await machines()
    assert.deepEqual(after.map(({ region }) => region).sort(), REGIONS)
    const kept = first.filter(({ region }) => region === 'ams').map(({ id }) => id)
    assert.deepEqual(
      after.filter(({ region }) => region === 'ams').map(({ id }) => id),
      kept,
    )
  })

  await t.test('down leaves nothing', async () => {
    const ids = (await machines()).map(({ id }) => id)
    await must('down', '--planet', PLANET)
    assert.ok(!existsSync(join(folder, 'cli.json')))
    assert.ok(!existsSync(`/run/godwit/planets/${PLANET}`))
    const groups = readdirSync('/sys/fs/cgroup', { recursive: true, encoding: 'utf8' })
    assert.deepEqual(
      groups.filter((path) => ids.some((id) => path.includes(id))),
      [],
    )
    assert.match((await must('down', '--planet', PLANET)).stdout, /nothing to remove/)
  })
})
