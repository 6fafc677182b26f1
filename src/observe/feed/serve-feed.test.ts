import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import test, { type TestContext } from 'node:test'
import { connect as connectNats, type NatsConnection } from '@nats-io/transport-node'
import { createLog, pollUntil, systemClock } from '#base'
import { LogShipper } from '../logs/log-shipper.ts'
import { TestLogs } from '../logs/test-logs.fixture.ts'
import type { FeedAccess } from './feed-session.ts'
import { LogFeed } from './serve-feed.ts'

const log = createLog({ part: 'observe', level: 'error' })
const soon = { deadlineMs: 60_000 }

/** The stream before a real nats-server: the password of an organisation is its slug. */
async function feedOf(t: TestContext, logs: TestLogs, apps: Record<string, string[]>) {
  const link = await logs.link('client')
  const feed = new LogFeed({ link, clock: systemClock, log, port: 4223 })
  const access: FeedAccess = {
    open: ({ user, password }) =>
      user === password && apps[user] !== undefined
        ? {
            group: user,
            apps: () => new Set(apps[user]),
            mayRead: (app) => apps[user]?.includes(app) ?? false,
          }
        : undefined,
  }
  const server = createServer((socket) => feed.serve(socket, access))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    feed[Symbol.dispose]()
    server.close()
  })
  const bound = server.address()
  const port = typeof bound === 'object' ? bound?.port : 0
  const join = async (user: string, pass = user): Promise<NatsConnection> => {
    const options = { servers: `127.0.0.1:${port}`, user, pass, reconnect: false, timeout: 10_000 }
    const connection = await connectNats(options)
    t.after(() => connection.close())
    return connection
  }
  return { feed, link, join }
}

function hearing(connection: NatsConnection, subject: string, queue?: string) {
  const heard: string[] = []
  const errors: unknown[] = []
  connection.subscribe(subject, {
    ...(queue === undefined ? {} : { queue }),
    callback: (error, message) => {
      if (error !== null) errors.push(error)
      else heard.push((message.json() as { message: string }).message)
    },
  })
  return { heard, errors }
}

test('NATS’ own client hears what machines of its organisation write, and nothing of others', async (t) => {
  const logs = await TestLogs.start(t)
  const { feed, join } = await feedOf(t, logs, { birds: ['heron', 'tern'], fish: ['trout'] })
  await using shipper = new LogShipper({ link: await logs.link('host'), log })
  const say = (app: string, text: string, region = 'ams') => {
    using writer = shipper.writerFor({ app, region, machine: 'm1', host: 'ams-1' })
    writer.write(Buffer.from(`${text}\n`))
  }
  await assert.rejects(join('birds', 'fish'), /authorization violation/i)
  const birds = await join('birds')
  const fish = await join('fish')
  const all = hearing(birds, 'logs.>')
  const heron = hearing(birds, 'logs.heron.*.*')
  const others = hearing(fish, 'logs.heron.*.*')
  const own = hearing(fish, 'logs.>')
  const group = [
    hearing(birds, 'logs.tern.ams.*', 'g'),
    hearing(await join('birds'), 'logs.>', 'g'),
  ]
  for (const one of [birds, fish]) await one.flush()
  await pollUntil('the refusal', () => others.errors.length === 1, soon)
  say('heron', 'from heron')
  say('trout', 'from trout')
  for (let count = 0; count < 20; count += 1) say('tern', `tern ${count}`)
  await pollUntil('all lines', () => all.heard.length === 21 && own.heard.length === 1, soon)
  assert.deepEqual(own.heard, ['from trout'])
  assert.deepEqual(heron.heard, ['from heron'])
  assert(!all.heard.includes('from trout'))
  const shared = () => group.flatMap(({ heard }) => heard.filter((one) => one !== 'from heron'))
  await pollUntil('the group’s lines', () => shared().length === 20, soon)
  assert.equal(new Set(shared()).size, 20, 'each line once')
  assert.deepEqual(others.heard, [])

  assert.equal(feed.clients, 3)
  for (const one of [birds, fish]) await one.close()
  await pollUntil('their end', () => feed.clients === 1, soon)
})
