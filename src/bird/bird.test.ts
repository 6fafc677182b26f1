import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { fc } from '#property'
import { parseBfdSessions } from './bfd-session.ts'
import { type BirdRouter, renderBirdConfig } from './config.ts'
import { BirdControl, parseProtocols } from './control.ts'
import { BirdError } from './errors.ts'
import { ReplyParser } from './reply.ts'

const router: BirdRouter = {
  routerId: '198.19.0.1',
  asn: 64601,
  holdSeconds: 9,
  isForwarding: true,
  originates: [
    { protocol: 'region4', prefix: '198.18.0.0/24', isAnnounced: true },
    { protocol: 'region6', prefix: '2001:db8:1000::/48', isAnnounced: false },
  ],
  neighbours: [
    {
      protocol: 'iad_4',
      localAddress: '198.19.0.0',
      address: '198.19.0.1',
      asn: 64602,
      imports: 'everything',
      exports: 'everything',
      cost: 46_000,
      bfd: { minRxMs: 100, minTxMs: 200, multiplier: 3 },
    },
    {
      protocol: 'ams_1_6',
      localAddress: '2001:db8:1000::1',
      address: '2001:db8:1000::2',
      asn: 64500,
      imports: ['203.0.113.0/24', '2001:db8:a::/48'],
      exports: 'nothing',
      cost: 0,
    },
  ],
}

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-bird-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

test('BIRD itself accepts the configuration', (t) => {
  const path = join(temporaryFolder(t), 'bird.conf')
  writeFileSync(path, renderBirdConfig(router))
  execFileSync('bird', ['-p', '-c', path]) // throws with BIRD's own message when it does not parse
})

test('a session takes only the prefixes of its own family', () => {
  const text = renderBirdConfig(router)
  assert.match(text, /net !~ \[ 2001:db8:a::\/48 \]/)
  assert.doesNotMatch(text, /203\.0\.113/)
})

test('a reply cut anywhere parses to the same reply', () => {
  const wire = '0001 BIRD 2.0.12 ready.\n2002-Name Proto\n1002-a Static\n b Static\n0000 \n'
  fc.assert(
    fc.property(fc.array(fc.nat(wire.length), { maxLength: 6 }), (cuts) => {
      const parser = new ReplyParser()
      const edges = [0, ...cuts.sort((a, b) => a - b), wire.length]
      const replies = edges.slice(1).flatMap((end, at) => parser.push(wire.slice(edges[at], end)))
      assert.deepEqual(
        replies.map(({ code, lines }) => [code, lines.length]),
        [
          [1, 1],
          [0, 4],
        ],
      )
    }),
  )
})

test('bytes that are no reply give a BirdError', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        new ReplyParser().push(`${text}\n`)
      } catch (error) {
        assert(error instanceof BirdError)
        assert.equal(error.code, 'bird.reply_bad')
      }
    }),
  )
})

test('rows of `show protocols` are read', () => {
  const [reply] = new ReplyParser().push(
    '2002-Name       Proto      Table      State  Since         Info\n' +
      '1002-device1    Device     ---        up     12:00:00.000  \n' +
      ' iad_4      BGP        ---        start  12:00:01.000  Active        Socket: closed\n' +
      '0000 \n',
  )
  assert(reply !== undefined)
  assert.deepEqual(parseProtocols(reply), [
    { name: 'device1', kind: 'Device', isUp: true, info: '' },
    { name: 'iad_4', kind: 'BGP', isUp: false, info: 'Active Socket: closed' },
  ])
})

test('rows of `show bfd sessions` are read', () => {
  const [reply] = new ReplyParser().push(
    '1020-bfd1:\n' +
      ' IP address                Interface  State      Since         Interval  Timeout\n' +
      ' 192.0.2.1                 cable      Up         12:00:00.000    0.100    0.300\n' +
      ' 2001:db8::1               eth0       Down       12:00:01.000    1.000    0.000\n' +
      '0000 \n',
  )
  assert(reply !== undefined)
  const rows = parseBfdSessions(reply)
  assert.deepEqual(rows, [
    {
      ...{ address: '192.0.2.1', interface: 'cable', state: 'Up' },
      ...{ intervalSeconds: 0.1, timeoutSeconds: 0.3 },
    },
    {
      ...{ address: '2001:db8::1', interface: 'eth0', state: 'Down' },
      ...{ intervalSeconds: 1, timeoutSeconds: 0 },
    },
  ])
})

async function serve(t: TestContext, answer: string): Promise<BirdControl> {
  const path = join(temporaryFolder(t), 'bird.ctl')
  const server: Server = createServer((socket) => {
    socket.write('0001 BIRD 2.0.12 ready.\n')
    socket.on('error', () => socket.destroy())
    socket.once('data', () => socket.end(answer))
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  t.after(() => server.close())
  return new BirdControl(path)
}

test('a refused command carries what BIRD said', async (t) => {
  const control = await serve(t, '9001 syntax error, unexpected CF_SYM_UNDEFINED\n')
  await assert.rejects(control.enable('nothing'), /bird|BIRD refused.*syntax error/)
})

test('a daemon that closes before it answered is unreachable', async (t) => {
  const control = await serve(t, '1002-half')
  await assert.rejects(control.protocols(), { code: 'bird.unreachable' })
})

test('an absent socket is unreachable, and the message names it', async () => {
  await assert.rejects(new BirdControl('/nonexistent/bird.ctl').protocols(), /nonexistent/)
})
