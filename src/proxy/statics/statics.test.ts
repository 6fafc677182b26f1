import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Duplex, duplexPair } from 'node:stream'
import test, { type TestContext } from 'node:test'
import { answering, exchange, startMachine } from '../proxy.fixture.ts'
import { startTwoHosts, type TwoHosts } from '../run/two-hosts.fixture.ts'
import { SftpMachine } from './sftp-server.fixture.ts'

const APP = 'HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nthe app'
const STATICS = [{ guest_path: '/srv/public', url_prefix: '/static' }]
const LARGE = randomBytes(3 << 20)

interface Site extends TwoHosts {
  readonly files: SftpMachine
  /** Heads that the app got. */
  readonly heads: string[]
  ask(path: string, more?: string, method?: string): Promise<string>
}

/** An app whose machine is on this host, or on another, and has files. */
async function startSite(
  t: TestContext,
  where: 'here' | 'there',
  { statics = STATICS, openFiles }: { statics?: object[]; openFiles?: () => Duplex } = {},
): Promise<Site> {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-statics-'))
  const opened = new AsyncDisposableStack()
  t.after(() => opened.disposeAsync())
  opened.defer(() => rmSync(folder, { recursive: true }))
  const root = join(folder, 'srv/public')
  mkdirSync(join(root, 'sub'), { recursive: true })
  writeFileSync(join(folder, 'srv/secret'), 'a secret')
  writeFileSync(join(root, 'a.txt'), 'hello')
  utimesSync(join(root, 'a.txt'), 1_700_000_000, 1_700_000_000)
  writeFileSync(join(root, 'sub/large.bin'), LARGE)
  writeFileSync(join(root, 'empty'), '')
  symlinkSync('../secret', join(root, 'link'))
  symlinkSync('..', join(root, 'up'))
  symlinkSync('a.txt', join(root, 'inner'))
  const heads: string[] = []
  const respond = answering((head) => {
    heads.push(head)
    return APP
  })
  const machine = opened.use(await startMachine(respond))
  const files = new SftpMachine(folder)
  const hosts = opened.use(
    await startTwoHosts({
      machine: machine.port,
      ...(where === 'here' ? { ownMachine: machine.port } : {}),
      statics,
      openFiles: openFiles ?? (() => files.open()),
    }),
  )
  const ask = (path: string, more = '', method = 'GET') =>
    exchange(
      hosts.port,
      `${method} ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${more}\r\n`,
    )
  return { ...hosts, files, heads, ask }
}

for (const where of ['here', 'there'] as const) {
  test(`a file of a machine ${where} is served without the app, and what is none goes to the app`, async (t) => {
    const site = await startSite(t, where)
    const first = await site.ask('/static/a.txt?v=1')
    assert.match(first, /^HTTP\/1\.1 200 OK\r\n/)
    assert.match(first, /\r\netag: "6553f100-5"\r\n/i)
    assert.match(first, /\r\ncontent-type: text\/plain; charset=utf-8\r\n/i)
    assert.match(first, /\r\n\r\nhello$/)
    assert.doesNotMatch(first, /godwit-static/i)
    const large = await site.ask('/static/sub/large.bin')
    const body = Buffer.from(large.slice(large.indexOf('\r\n\r\n') + 4), 'latin1')
    assert(body.equals(LARGE), 'all of a file that is larger than any window')
    assert.match(await site.ask('/static/empty'), /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\n$/s)
    const head = await site.ask('/static/a.txt', '', 'HEAD')
    assert.match(head, /^HTTP\/1\.1 200 OK\r\n.*content-length: 5\r\n.*\r\n\r\n$/is)
    assert.match(
      await site.ask('/static/a.txt', 'If-None-Match: "6553f100-5"\r\n'),
      /^HTTP\/1\.1 304 /,
    )
    const part = await site.ask('/static/a.txt', 'Range: bytes=1-3\r\n')
    assert.match(part, /^HTTP\/1\.1 206 .*content-range: bytes 1-3\/5\r\n.*\r\n\r\nell$/is)
    assert.deepEqual(site.heads, [])

    for (const path of ['/static/none', '/static/sub', '/statics/a.txt', '/static/', '/'])
      assert.match(await site.ask(path), /\r\n\r\nthe app$/, path)
    assert.match(await site.ask('/static/a.txt', 'Content-Length: 2\r\n\r\nab', 'POST'), /the app$/)
    assert.match(await site.ask('/static/none', 'Content-Length: 2\r\n\r\nab'), /the app$/)
    assert.equal(site.heads.length, 7)
    for (const text of site.heads) assert.doesNotMatch(text, /godwit-static/i)
  })
}

test('no link and no path leads to another file', async (t) => {
  const site = await startSite(t, 'there')
  for (const path of [
    '/static/link',
    '/static/inner',
    '/static/up/secret',
    '/static/up/public/a.txt',
    '/static/../secret',
    '/static/%2e%2e/secret',
    '/static/..%2fsecret',
    '/static//a.txt',
    '/static/./a.txt',
    '/static/a.txt%00',
  ]) {
    assert.match(await site.ask(path), /\r\n\r\nthe app$/, path)
  }
  // What a client says of it counts nothing.
  const forged = 'godwit-static: %2Fsrv %2Fsrv%2Fsecret\r\n'
  assert.match(await site.ask('/static/none', forged), /\r\n\r\nthe app$/)
  assert.match(await site.ask('/', forged), /\r\n\r\nthe app$/)
})

test('a file that is asked for often is read once', async (t) => {
  const site = await startSite(t, 'there')
  const answers = await Promise.all(Array.from({ length: 20 }, () => site.ask('/static/a.txt')))
  for (const answer of answers) assert.match(answer, /\r\n\r\nhello$/)
  assert.equal(site.files.counts.get(5), 1, 'reads')
  assert.equal(site.files.sessions.length, 1)
})

test('a machine whose files cannot be read is asked itself, and its files are served again later', async (t) => {
  const broken: (() => Duplex)[] = [
    () => {
      throw new Error('its flyd is away')
    },
    () => saying(Buffer.from('GET / HTTP/1.1\r\n\r\n')),
    () => saying(Buffer.from([0, 0, 0, 5, 2, 0, 0, 0, 3, 0, 0, 0, 5, 105, 0, 0, 0, 99])),
    () => saying(Buffer.from([0, 0, 0, 5, 2, 0, 0, 0, 3, 255, 255, 255, 255])),
  ]
  const site: Site = await startSite(t, 'there', {
    openFiles: () => (broken.shift() ?? (() => site.files.open()))(),
  })
  for (let left = broken.length; left > 0; left -= 1)
    assert.match(await site.ask('/static/a.txt'), /\r\n\r\nthe app$/)
  assert.match(await site.ask('/static/a.txt'), /\r\n\r\nhello$/)
  site.files.sessions[0]?.destroy()
  let answer = ''
  for (let tries = 0; tries < 5 && !answer.endsWith('hello'); tries += 1)
    answer = await site.ask('/static/a.txt')
  assert.match(answer, /\r\n\r\nhello$/)
})

/** A guest that says this, whatever it is asked. */
function saying(bytes: Buffer): Duplex {
  const [ours, theirs] = duplexPair()
  ours.on('error', () => undefined).resume()
  ours.write(bytes)
  return theirs
}

test('files of a bucket are an error that says so', async (t) => {
  const statics = [{ guest_path: 'public', url_prefix: '/', tigris_bucket: 'b' }]
  const site = await startSite(t, 'there', { statics })
  assert.match(await site.ask('/a.txt'), /^HTTP\/1\.1 502 /)
  assert.equal(site.serving.counters.faults.get('PR05'), 1)
})
