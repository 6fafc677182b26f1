import assert from 'node:assert/strict'
import { execFile, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Duplex } from 'node:stream'
import test from 'node:test'
import { createLog } from '#base'
import { fc } from '#property'
import {
  type CertificateContent,
  checkCertificate,
  issueCertificate,
  parseCertificate,
  parseCertificateLine,
} from './certificate.ts'
import { SshClient } from './client.ts'
import { Ed25519Key, parsePublicLine } from './ed25519-key.ts'
import { type SshCommand, type SshProcess, serveSsh } from './server.ts'

const NOW_S = 1_800_000_000
const APP = 'app-1'
const authority = new Ed25519Key(Buffer.alloc(32, 1))
const user = new Ed25519Key(Buffer.alloc(32, 2))
const nonce = Buffer.alloc(32, 9)

function content(changes: Partial<CertificateContent> = {}): CertificateContent {
  return {
    ...{ publicKey: user.publicKey, serial: 7n, keyId: 'someone@org', principals: ['root', 'fly'] },
    ...{ apps: [], validAfterS: NOW_S - 60, validBeforeS: NOW_S + 3600, ...changes },
  }
}

const issue = (changes: Partial<CertificateContent> = {}) =>
  issueCertificate(authority, content(changes), nonce)

const parse = (line: string) => parseCertificate(parseCertificateLine(line))

const door = { authorities: [authority.publicKey], appId: APP, user: 'root', nowMs: NOW_S * 1000 }

test('a certificate says what was put into it', () => {
  const { authority: signer, ...said } = parse(issue({ apps: [APP, 'app-2'] }))
  assert.deepEqual(said, content({ apps: [APP, 'app-2'] }))
  assert.deepEqual(signer, authority.publicKey)
})

test('ssh-keygen reads our certificates and keys as its own', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-ssh-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text, { mode: 0o600 })
    return join(folder, name)
  }
  const run = (...words: string[]) => execFileSync('ssh-keygen', words, { encoding: 'utf8' })
  const shown = run('-L', '-f', file('id-cert.pub', issue({ apps: [APP] })))
  for (const part of [
    'user certificate',
    'Serial: 7',
    'Key ID: "someone@org"',
    'fly',
    'permit-pty',
  ]) {
    assert.ok(shown.includes(part), shown)
  }
  const derived = run('-y', '-f', file('id', user.privatePem('me')))
  assert.equal(derived.trim(), user.publicLine('me'))
  assert.deepEqual(parsePublicLine(derived), user.publicKey)

  // And the other way round: one that names no apps, with each extension of OpenSSH, is for all of them.
  const signer = file('ca', authority.privatePem('ca'))
  const signed = ['-q', '-s', signer, '-I', 'x', '-n', 'root,fly', '-V', '+1h']
  run(...signed, file('other.pub', user.publicLine('me')))
  const stock = parse(readFileSync(join(folder, 'other-cert.pub'), 'utf8'))
  assert.deepEqual([stock.apps, stock.principals, stock.keyId], [[], ['root', 'fly'], 'x'])
  for (const appId of [APP, 'app-2']) checkCertificate(stock, { ...door, appId, nowMs: Date.now() })
})

test('a certificate opens only the doors that it names', () => {
  checkCertificate(parse(issue()), door)
  checkCertificate(parse(issue({ apps: [APP] })), door)
  const refused: [string, Partial<CertificateContent>, Partial<typeof door>][] = [
    ['another app', { apps: ['app-2'] }, {}],
    ['another user', {}, { user: 'postgres' }],
    ['another authority', {}, { authorities: [user.publicKey] }],
    ['too late', { validBeforeS: NOW_S }, {}],
    ['too early', { validAfterS: NOW_S + 61 }, {}],
  ]
  for (const [why, changes, place] of refused) {
    const attempt = () => checkCertificate(parse(issue(changes)), { ...door, ...place })
    assert.throws(attempt, { code: 'ssh.certificate_refused' }, why)
  }
})

test('a certificate in which anything was changed is none', () => {
  const blob = parseCertificateLine(issue({ apps: [APP] }))
  fc.assert(
    fc.property(fc.nat(blob.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const changed = Buffer.from(blob)
      changed.writeUInt8(changed.readUInt8(at) ^ flip, at)
      assert.throws(() => parseCertificate(changed))
    }),
  )
})

test('bytes that are no certificate are refused, whatever they are', () => {
  const start = parseCertificateLine(issue()).subarray(0, 36)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (bytes, begins) => {
      const blob = begins ? Buffer.concat([start, bytes]) : bytes
      assert.throws(() => parseCertificate(blob), { code: 'ssh.key_bad' })
    }),
  )
})

/** A machine that is this computer. */
function localProcess({ argv, env }: SshCommand): Promise<SshProcess> {
  const [program, ...words] = argv
  const child = spawn(program, words, { env: { PATH: process.env['PATH'], ...env } })
  const { promise, resolve } = Promise.withResolvers<{ code: number } | { signal: string }>()
  child.once('exit', (code, signal) => resolve(signal === null ? { code: code ?? 0 } : { signal }))
  return new Promise((begun, failed) => {
    child.once('error', (cause: NodeJS.ErrnoException) =>
      failed(
        Object.assign(cause, { code: cause.code === 'ENOENT' ? 'guest.not_found' : cause.code }),
      ),
    )
    child.once('spawn', () =>
      begun({
        ...{ stdin: child.stdin, stdout: child.stdout, stderr: child.stderr, ended: promise },
        resize: () => undefined,
        signal: (name) => void child.kill(name as NodeJS.Signals),
        abandon: () => void child.kill('SIGKILL'),
      }),
    )
  })
}

async function serve(): Promise<{ server: Server; port: number }> {
  const options = {
    hostKey: new Ed25519Key(Buffer.alloc(32, 3)),
    log: createLog({ part: 'ssh', level: 'silent', format: 'json' }),
    admit: async (certificate: ReturnType<typeof parse>, name: string) => {
      checkCertificate(certificate, { ...door, user: name, nowMs: Date.now() })
      return {
        exec: localProcess,
        sftp: () => localProcess({ argv: ['/usr/lib/openssh/sftp-server'], env: {} }),
        dial: async (address: string, port: number) => connect(port, address),
      }
    },
  }
  const server = createServer({ allowHalfOpen: true }, (socket) => void serveSsh(socket, options))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { server, port: (server.address() as AddressInfo).port }
}

test('the ssh program of OpenSSH is let in by a certificate, and by nothing else', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-ssh-'))
  const { server, port } = await serve()
  t.after(() => {
    server.close()
    rmSync(folder, { recursive: true })
  })
  const nowS = Math.floor(Date.now() / 1000)
  const times = { validAfterS: nowS - 60, validBeforeS: nowS + 3600 }
  const write = (name: string, text: string) =>
    writeFileSync(join(folder, name), text, { mode: 0o600 })
  write('id', user.privatePem())
  write('id.pub', user.publicLine())
  const ssh = (command: string, input = '', more: readonly string[] = []) =>
    new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
      const options = [
        ...['-F', 'none', '-i', join(folder, 'id'), '-p', String(port), '-o', 'BatchMode=yes'],
        ...['-o', 'IdentitiesOnly=yes', '-o', 'StrictHostKeyChecking=no', '-o', 'LogLevel=ERROR'],
        ...['-o', `UserKnownHostsFile=${join(folder, 'known')}`, ...more],
        ...['root@127.0.0.1', ...(command === '' ? [] : [command])],
      ]
      const child = execFile('ssh', options, (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr }),
      )
      child.stdin?.end(input)
    })

  await t.test('a plain key is refused', async () => {
    const { code, stderr } = await ssh('true')
    assert.equal(code, 255)
    assert.match(stderr, /Permission denied/)
  })
  await t.test(
    'with the certificate a command runs, and its end is told after its output',
    async () => {
      write('id-cert.pub', issue(times))
      const { code, stdout, stderr } = await ssh(
        'echo to-out; echo to-err >&2; cat; exit 7',
        'typed\n',
      )
      assert.deepEqual(
        { code, stdout, stderr },
        { code: 7, stdout: 'to-out\ntyped\n', stderr: 'to-err\n' },
      )
    },
  )
  await t.test('a container that is not there is said on stderr, whatever is to run', async () => {
    const sessions: readonly (readonly [command: string, options: readonly string[]])[] = [
      ...([
        ['true', []],
        ['', []],
        ['sftp', ['-s']],
      ] as const),
    ]
    const refused = { code: 127, stdout: '', stderr: 'the machine has no container web\n' }
    for (const [command, options] of sessions) {
      const chosen = ['-o', 'SetEnv=FLY_SSH_CONTAINER=web', ...options]
      assert.deepEqual(await ssh(command, '', chosen), refused)
    }
    const both = ['-o', 'SetEnv=FLY_SSH_CONTAINER=web FLY_SSH_MACHINE=1']
    assert.match((await ssh('true', '', both)).stderr, /exclude each other/)
    const outside = ['-o', 'SetEnv=FLY_SSH_MACHINE=1 WORD=seen']
    const { code, stdout } = await ssh('echo "$WORD:$FLY_SSH_MACHINE"', '', outside)
    assert.deepEqual([code, stdout], [0, 'seen:\n'])
  })
  await t.test('a certificate of another authority is refused', async () => {
    write('id-cert.pub', issueCertificate(user, content(times), nonce))
    assert.equal((await ssh('true')).code, 255)
  })
  await t.test('one for another user is refused', async () => {
    write('id-cert.pub', issue({ ...times, principals: ['postgres'] }))
    assert.equal((await ssh('true')).code, 255)
  })
})

test('our client copies a megabyte through a command, and learns its exit code', async (t) => {
  const { server, port } = await serve()
  t.after(() => server.close())
  const nowS = Math.floor(Date.now() / 1000)
  const certificate = issue({ validAfterS: nowS - 60, validBeforeS: nowS + 600 })
  using client = await SshClient.connect(connect(port, '127.0.0.1'), {
    user: 'root',
    key: user,
    certificate,
  })
  const channel = await client.open('sha256sum; exit 3', {})
  const bytes = Buffer.alloc(1 << 20, 'godwit')
  const { promise: exited, resolve } = Promise.withResolvers<number>()
  channel.on('exit', (code: number) => resolve(code))
  channel.end(bytes)
  const parts: Buffer[] = []
  for await (const part of channel) parts.push(Buffer.from(part))
  const expected = execFileSync('sha256sum', { input: bytes, encoding: 'utf8' })
  assert.equal(Buffer.concat(parts).toString(), expected)
  assert.equal(await exited, 3)
})

test('our client is told that its certificate is not taken', async (t) => {
  const { server, port } = await serve()
  t.after(() => server.close())
  const late = issue({ validBeforeS: NOW_S - 1_000_000_000 })
  const attempt = SshClient.connect(connect(port, '127.0.0.1'), {
    user: 'root',
    key: user,
    certificate: late,
  })
  await assert.rejects(attempt, { code: 'ssh.certificate_refused' })
})

test('a client that speaks no ssh hurts nobody', async (t) => {
  const { server, port } = await serve()
  t.after(() => server.close())
  const socket = connect(port, '127.0.0.1')
  socket.end('GET / HTTP/1.1\r\n\r\n')
  for await (const _ of Duplex.from(socket)) {
    // until the server closes it
  }
  const again = connect(port, '127.0.0.1')
  const first = await new Promise<string>((resolve) =>
    again.once('data', (bytes) => resolve(String(bytes))),
  )
  again.destroy()
  assert.match(first, /^SSH-2\.0-/)
})
