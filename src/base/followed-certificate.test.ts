import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { connect } from 'node:tls'
import { followCertificate } from './followed-certificate.ts'
import { handClock } from './hand-clock.fixture.ts'
import { createLog } from './log.ts'

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

/** Certificates of these names, each with its key, in a folder; and the way to put one of their files to where it is read. */
function issued(t: TestContext, names: readonly string[]) {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-certificate-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const at = (name: string) => join(folder, name)
  for (const name of names) {
    const [key, cert] = [at(`${name}.key`), at(`${name}.pem`)]
    const words = ['req', '-x509', ...KEY, '-subj', `/CN=${name}`, '-keyout', key, '-out', cert]
    execFileSync('openssl', words, { stdio: 'ignore' })
  }
  const files = { certFile: at('server.pem'), keyFile: at('server.key') }
  const put = (name: string, kind: 'pem' | 'key') => {
    copyFileSync(at(`${name}.${kind}`), at('new'))
    renameSync(at('new'), at(`server.${kind}`))
  }
  return { files, put }
}

/** What was logged, and a log for it. */
function hearLog() {
  const told: { level: string; err?: { code: string } }[] = []
  const destination = { write: (line: string) => void told.push(JSON.parse(line)) }
  return { told, log: createLog({ part: 'base', level: 'info', format: 'json', destination }) }
}

async function connected(t: TestContext, port: number) {
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
  t.after(() => socket.destroy())
  await once(socket, 'secureConnect')
  const ask = async () => {
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    const [answer] = await once(socket, 'data')
    return String(answer).split('\r\n')[0]
  }
  return { name: socket.getPeerCertificate().subject.CN, ask }
}

test('new connections are shown the certificate that is there, once it is whole, and older ones are served on', async (t) => {
  const { files, put } = issued(t, ['one', 'two', 'three'])
  for (const kind of ['pem', 'key'] as const) put('one', kind)
  const { clock, pass, timers } = handClock()
  const { told, log } = hearLog()
  const server = createServer((_request, response) => response.end())
  const following = followCertificate(server, files, { clock, log })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.after(() => server.close())
  const { port } = server.address() as AddressInfo
  const shown = async () => (await connected(t, port)).name
  const first = await connected(t, port)
  assert.equal(first.name, 'one')
  assert.equal(await first.ask(), 'HTTP/1.1 200 OK')
  put('two', 'key')
  pass()
  assert.equal(await shown(), 'one', 'half of it is not taken')
  pass()
  const codes = () => told.splice(0).map(({ level, err }) => err?.code ?? level)
  assert.deepEqual(codes(), ['base.certificate_bad'], 'told once')
  put('two', 'pem')
  assert.equal(await shown(), 'one')
  pass()
  assert.equal(await shown(), 'two')
  assert.equal(await first.ask(), 'HTTP/1.1 200 OK')
  assert.deepEqual(codes(), ['info'])
  for (const broken of ['', '-----BEGIN CERTIFICATE-----\n']) {
    writeFileSync(files.certFile, broken)
    pass()
    assert.equal(await shown(), 'two')
  }
  rmSync(files.certFile)
  pass()
  assert.equal(await shown(), 'two')
  put('three', 'pem')
  pass()
  assert.equal(await shown(), 'two')
  put('three', 'key')
  pass()
  assert.equal(await shown(), 'three')
  following[Symbol.dispose]()
  assert.equal(timers.size, 0)
})

test('a server does not begin with a pair that is none, and nothing is followed then', (t) => {
  const { files, put } = issued(t, ['one', 'two'])
  const { clock, timers } = handClock()
  const { log } = hearLog()
  const begin = () => followCertificate(createServer(), files, { clock, log })
  assert.throws(begin, { code: 'ENOENT' })
  put('one', 'pem')
  put('two', 'key')
  assert.throws(begin, { code: 'base.certificate_bad', values: files })
  writeFileSync(files.keyFile, 'no key')
  assert.throws(begin, { code: 'base.certificate_bad', values: files })
  assert.equal(timers.size, 0)
})
