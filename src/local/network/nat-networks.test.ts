/** Of a host that is a network namespace itself, with an outside that is another. */
import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { pollUntil } from '#base'
import { TrialFolder } from '../trial-image.fixture.ts'

const GODWIT = join(import.meta.dirname, '../../../bin/godwit')
const [HOST, OUTSIDE] = ['gl-test-host', 'gl-test-outside']
const STATE_MS = 60_000
const ip = (...words: string[]) => execFileSync('ip', words, { stdio: 'pipe' })

describe('the private network of local machines', () => {
  let folder: TrialFolder
  let image: string
  const servers: ReturnType<typeof spawn>[] = []
  /** Not `ip netns exec`: that has mounts of its own. */
  const inside = (netns: string, words: readonly string[]) =>
    spawnSync('nsenter', [`--net=/run/netns/${netns}`, '--', ...words], {
      ...{ encoding: 'utf8', timeout: STATE_MS },
      env: { ...process.env, GODWIT_LOCAL_DIR: folder.stateDir },
    })
  const run = (script: string, ...flags: string[]) =>
    inside(HOST, [GODWIT, 'run', ...flags, image, '--', 'sh', '-c', script])
  /** Says who connected, and leaves. */
  const serve = async (netns: string, port: number) => {
    const say =
      'console.log("up"); require("net").createServer((s) => s.end(s.remoteAddress)).listen'
    const program = `${say}({ host: "0.0.0.0", port: ${port} })`
    const server = spawn(
      'nsenter',
      [`--net=/run/netns/${netns}`, '--', process.execPath, '-e', program],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    servers.push(server)
    await once(server.stdout, 'data')
  }

  before(async () => {
    folder = new TrialFolder()
    image = `oci:${folder.makeImage()}:v1`
    for (const name of [HOST, OUTSIDE]) ip('netns', 'add', name)
    ip(
      ...['-n', HOST, 'link', 'add', 'out', 'type', 'veth', 'peer', 'name', 'in', 'netns', OUTSIDE],
    )
    for (const [netns, device, address] of [
      [HOST, 'out', '192.0.2.1/24'],
      [OUTSIDE, 'in', '192.0.2.2/24'],
    ] as const) {
      ip('-n', netns, 'addr', 'add', address, 'dev', device)
      for (const name of ['lo', device]) ip('-n', netns, 'link', 'set', name, 'up')
    }
    await serve(OUTSIDE, 7000)
    await serve(HOST, 7001)
  })
  after(async () => {
    for (const server of servers) server.kill('SIGKILL')
    await folder[Symbol.asyncDispose]()
    for (const name of [HOST, OUTSIDE]) ip('netns', 'delete', name)
  })

  test('a machine reaches the outside under its host’s address, but not the host', () => {
    const script =
      'nc -w 5 192.0.2.2 7000 </dev/null; echo; nc -w 2 10.213.0.1 7001 </dev/null; nc -w 2 192.0.2.1 7001 </dev/null; echo over'
    assert.equal(run(script, '--rm').stdout, '192.0.2.1\nover\n')
  })

  test('a published port reaches a machine, another machine does not, and nothing is left', async () => {
    const server = 'echo page > index.html; exec httpd -f -p 8080 -h /home/app'
    const { stdout } = run(server, '-d', '--name', 'web', '-p', '8081:8080')
    const id = stdout.trim()
    const page = () => inside(HOST, ['curl', '-s', 'http://127.0.0.1:8081/index.html']).stdout
    await pollUntil('the page', () => page() === 'page\n', { deadlineMs: STATE_MS })
    assert.ok(existsSync(`/run/netns/godwit-${id}`))
    assert.equal(run('nc -w 2 10.213.0.2 8080 </dev/null; echo over', '--rm').stdout, 'over\n')
    inside(HOST, [GODWIT, 'local', 'destroy', '-f', 'web'])
    assert.ok(!existsSync(`/run/netns/godwit-${id}`))
    assert.doesNotMatch(inside(HOST, ['ip', 'link']).stdout, /gwl/)
    assert.deepEqual(readdirSync(join(folder.stateDir, 'machines')), [])
  })

  test('without a network a machine has loopback alone', () => {
    const { stdout } = run(
      'cat /proc/net/dev | tail -n +3 | cut -d: -f1',
      '--rm',
      '--network',
      'none',
    )
    assert.deepEqual(
      stdout
        .split('\n')
        .map((line) => line.trim())
        .filter((line) => line !== 'lo' && line !== ''),
      [],
    )
  })
})
