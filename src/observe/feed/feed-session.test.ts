import assert from 'node:assert/strict'
import test from 'node:test'
import { fc } from '#property'
import { LINE_BYTES_MAX } from './client-commands.ts'
import { type FeedAction, type FeedReader, FeedSession } from './feed-session.ts'
import { appNamedBy, isOfLog, narrowedTo } from './log-subjects.ts'

const CONNECT = 'CONNECT {"user":"birds","pass":"good","verbose":false}\r\n'

/** A session of `birds`, whose apps can be changed, and what it did last. */
function birdsSession() {
  const apps = new Set(['heron', 'tern'])
  const granted: { reader: FeedReader | undefined } = {
    reader: {
      group: '101',
      apps: () => (granted.reader === undefined ? undefined : new Set(apps)),
      mayRead: (app) => apps.has(app),
    },
  }
  const access = {
    open: ({ user, password }: { user: string; password: string }) =>
      user === 'birds' && password === 'good' ? granted.reader : undefined,
  }
  const session = new FeedSession(access, 0)
  const say = (text: string, nowMs = 0) => shown(session.receive(Buffer.from(text), nowMs))
  return { apps, granted, session, say }
}

/** What a client sees, and what happens at NATS. */
const shown = (actions: readonly FeedAction[]): string[] =>
  actions.map((action) => {
    if (action.kind === 'write') return action.bytes.toString().replaceAll('\r\n', '|')
    if (action.kind === 'close') return 'closed'
    if (action.kind === 'unlisten') return `- ${action.key}`
    return `+ ${action.key} = ${action.subject}${action.queue === undefined ? '' : ` by ${action.queue}`}`
  })

const line = (session: FeedSession, key: string, subject: string) =>
  shown(session.line(key, subject, Buffer.from('{}')))

test('a client with a token of the organisation hears the lines of its apps, as from a NATS server', () => {
  const { session, say } = birdsSession()
  const [info] = shown(session.greet({ port: 4223, clientId: 7 }))
  assert.match(info ?? '', /^INFO \{.*"auth_required":true.*\}\|$/)
  assert.deepEqual(say(`${CONNECT}PING\r\n`), ['PONG|'])
  assert.deepEqual(say('SUB logs.> 1\r\n'), [
    '+ 1 heron = logs.heron.*.*',
    '+ 1 tern = logs.tern.*.*',
  ])
  assert.deepEqual(say('SUB logs.heron.ams.* workers 2\r\n'), [
    '+ 2 heron = logs.heron.ams.* by 101-workers',
  ])
  assert.deepEqual(line(session, '1 tern', 'logs.tern.ams.m1'), ['MSG logs.tern.ams.m1 1 2|{}|'])
  assert.deepEqual(say('UNSUB 1\r\n'), ['- 1 heron', '- 1 tern'])
  assert.deepEqual(line(session, '1 tern', 'logs.tern.ams.m1'), [])
})

test('whoever has no token, or one that is not of the organisation, hears nothing', () => {
  for (const first of ['SUB logs.> 1\r\n', 'CONNECT {}\r\n', CONNECT.replace('good', 'bad')]) {
    const { say } = birdsSession()
    assert.deepEqual(say(`${first}SUB logs.> 2\r\n`), ["-ERR 'Authorization Violation'|", 'closed'])
    assert.deepEqual(say(CONNECT), [])
  }
  const { session } = birdsSession()
  assert.deepEqual(shown(session.tick(9_000)), [])
  assert.deepEqual(shown(session.tick(10_000)), ["-ERR 'Authentication Timeout'|", 'closed'])
})

test('others’ apps, other subjects and publishing are refused, and the client stays', () => {
  const { say } = birdsSession()
  say(CONNECT)
  for (const subject of [
    'logs.trout.*.*',
    'market.ask.>',
    '_INBOX.x',
    'logs.heron',
    'logs.a.b.c.d',
  ]) {
    const why = `-ERR 'Permissions Violation for Subscription to "${subject}"'|`
    assert.deepEqual(say(`SUB ${subject} 1\r\n`), [why])
  }
  const why = '-ERR \'Permissions Violation for Publish to "logs.heron.ams.m1"\'|'
  assert.deepEqual(say('PUB logs.heron.ams.m1 9\r\nSUB > 2\r\n\r\nPING\r\n'), [why, 'PONG|'])
  assert.deepEqual(say('HPUB logs.heron.ams.m1 3 5\r\nabcde\r\nPING\r\n'), [why, 'PONG|'])
})

test('apps that come are heard, and of one whose name another organisation took no line is given', () => {
  const { apps, session, say } = birdsSession()
  say(`${CONNECT}SUB logs.> 1\r\n`)
  apps.add('owl')
  apps.delete('tern')
  assert.deepEqual(line(session, '1 tern', 'logs.tern.ams.m1'), [])
  assert.deepEqual(shown(session.tick(4_000)), [])
  assert.deepEqual(shown(session.tick(5_000)), ['- 1 tern', '+ 1 owl = logs.owl.*.*'])
  apps.add('wren')
  assert.deepEqual(say('SUB logs.wren.*.* 2\r\n', 6_000), [
    '+ 1 wren = logs.wren.*.*',
    '+ 2 wren = logs.wren.*.*',
  ])
})

test('a token that ends takes its client along', () => {
  const { granted, session, say } = birdsSession()
  say(`${CONNECT}SUB logs.heron.*.* 1\r\n`)
  granted.reader = undefined
  assert.deepEqual(shown(session.tick(5_000)), [
    "-ERR 'User Authentication Expired'|",
    '- 1 heron',
    'closed',
  ])
})

test('a subscription ends after as many messages as its client said', () => {
  const { session, say } = birdsSession()
  say(`${CONNECT}SUB logs.heron.*.* 1\r\nUNSUB 1 2\r\n`)
  const hear = () => line(session, '1 heron', 'logs.heron.ams.m1').length
  assert.deepEqual([hear(), hear(), hear()], [1, 2, 0])
})

test('a client that answers no ping is given up', () => {
  const { session, say } = birdsSession()
  say(CONNECT)
  assert.deepEqual(shown(session.tick(30_000)), ['PING|'])
  say('PONG\r\n', 30_500)
  const later = [60_000, 90_000, 120_000].map((nowMs) => shown(session.tick(nowMs)))
  assert.deepEqual(later, [['PING|'], ['PING|'], ["-ERR 'Stale Connection'|", 'closed']])
})

test('a stream that is no NATS is ended, whatever it is', () => {
  const bad = [
    ['GET / HTTP/1.1\r\n', 'Unknown Protocol Operation'],
    ['CONNECT {nothing\r\n', 'Parser Error'],
    [`${CONNECT}SUB a\r\n`, 'Parser Error'],
    [`${CONNECT}SUB logs.> a.b 1\r\n`, 'Parser Error'],
    [`${CONNECT}PUB a 9999999\r\n`, 'Maximum Payload Violation'],
    ['C'.repeat(LINE_BYTES_MAX + 1), 'Maximum Control Line Exceeded'],
  ] as const
  for (const [text, why] of bad) {
    assert.deepEqual(birdsSession().say(text), [`-ERR '${why}'|`, 'closed'], text.slice(0, 40))
  }
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 })), (pieces) => {
      const { session } = birdsSession()
      session.receive(Buffer.from(CONNECT), 0)
      for (const piece of pieces) session.receive(Buffer.from(piece), 0)
    }),
  )
})

test('commands come out alike, wherever the pieces of their stream end', () => {
  const text = `${CONNECT}PING\r\nsub logs.> 1\r\nPUB x 12\r\nPING\r\nPING\r\n\r\nUNSUB 1 9\r\nPING\r\n`
  const whole = birdsSession().say(text)
  fc.assert(
    fc.property(fc.array(fc.nat(40)), (sizes) => {
      const { say } = birdsSession()
      const said: string[] = []
      let rest = text
      for (const size of [...sizes, text.length]) {
        said.push(...say(rest.slice(0, size)))
        rest = rest.slice(size)
      }
      assert.deepEqual(said, whole)
    }),
  )
})

/** As NATS' documentation has it. */
function matches(pattern: string, subject: string): boolean {
  const [wanted, given] = [pattern.split('.'), subject.split('.')]
  for (const [at, token] of wanted.entries()) {
    if (token === '>') return given.length > at
    if (given[at] === undefined || (token !== '*' && token !== given[at])) return false
  }
  return wanted.length === given.length
}

test('what is listened to for an app are the lines of it that the client’s pattern means, and no other', () => {
  const token = fc.constantFrom('logs', 'heron', 'tern', 'ams', 'm1', '*')
  const end = fc.constantFrom([], ['>'])
  const pattern = fc
    .tuple(fc.array(token, { maxLength: 5 }), end)
    .map(([tokens, tail]) => [...tokens, ...tail].join('.'))
  const name = fc.constantFrom('heron', 'tern', 'ams', 'm1', 'logs')
  fc.assert(
    fc.property(pattern, name, name, name, name, (asked, own, app, region, machine) => {
      const subject = `logs.${app}.${region}.${machine}`
      const narrowed = narrowedTo(own, asked)
      const isHeard = narrowed !== undefined && matches(narrowed, subject)
      assert.equal(isHeard, app === own && matches(asked, subject))
      if (narrowed !== undefined) assert(isOfLog(asked))
      const named = appNamedBy(asked)
      if (isHeard && named !== undefined) assert.equal(named, own)
    }),
    { numRuns: 2_000 },
  )
})
