/** Machines that the proxies of a planet stop and suspend of their own accord, and what wakes them. */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { World } from '#planet'
import type { TopView } from '#proxy'
import { eventually, signalSpawned } from './planet-world.ts'
import { APP_DOMAIN, IMAGE, type Platform, SHARED_V4 } from './platform-on-planet.ts'

const LONG_MS = 90_000
const GATEWAY = 'ams-1'

/** Of the hosts' files: a scenario cannot wait five minutes for each pass. */
export const QUICK_AUTOSTOP = { period_s: 2, up_s: 0, settle_s: 1 }

const WEB_SOCKET_PORT = 8081
/** Beside a machine, in its network: takes every upgrade. */
const WEB_SOCKET_SERVER = `require('http').createServer((_, answer) => answer.end('awake'))
  .on('upgrade', (_, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n\\r\\n')
    socket.on('error', () => {}).on('end', () => socket.end()).resume()
  }).listen(${WEB_SOCKET_PORT}, '0.0.0.0')`
/** Opens a WebSocket to one machine; prints what it gets. */
const WEB_SOCKET_CLIENT = `const [to, host, id] = process.argv.slice(1)
const socket = require('net').connect(80, to, () => socket.write('GET / HTTP/1.1\\r\\nHost: ' + host +
  '\\r\\nfly-force-instance-id: ' + id + '\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n\\r\\n'))
socket.on('data', (bytes) => console.log(bytes.toString('hex'))).on('end', () => console.log('end')).on('error', () => console.log('broken'))`
const SWITCHING = new RegExp(Buffer.from('HTTP/1.1 101 ').toString('hex'))
const GOING_AWAY = /880203e9/

export interface AutostopStage {
  readonly world: World
  readonly platform: Platform
  /** What a machine runs to serve on port 80, with `/cgi-bin/slow`. */
  readonly server: string
  /** One request: the body and status. */
  ask(client: string, app: string, path?: string, more?: readonly string[]): Promise<string>
  /** Every proxy knows so many running machines of an app. */
  known(app: string, running: number): Promise<void>
}

class Apps {
  readonly #stage: AutostopStage

  constructor(stage: AutostopStage) {
    this.#stage = stage
  }

  async make(app: string): Promise<void> {
    const { platform } = this.#stage
    await platform.must(201, GATEWAY, 'POST', '/apps', { app_name: app, org_slug: 'birds' })
    const type = 'shared_v4'
    await platform.must(200, GATEWAY, 'POST', `/apps/${app}/ip_assignments`, { type })
  }

  /** A machine that runs. @returns its id */
  async place(app: string, region: string, service: object): Promise<string> {
    const { platform, server } = this.#stage
    const config = {
      image: IMAGE,
      env: { PRIMARY_REGION: 'ams' },
      init: { cmd: ['sh', '-c', server] },
      services: [
        {
          ...{ protocol: 'tcp', internal_port: 80, ports: [{ port: 80, handlers: ['http'] }] },
          ...{ autostart: true, ...service },
        },
      ],
      restart: { policy: 'no' },
    }
    const body = { region, config }
    const { id } = await platform.must(200, GATEWAY, 'POST', `/apps/${app}/machines`, body)
    await this.becomes(app, id, 'started')
    return id
  }

  async state(app: string, id: string): Promise<string> {
    const path = `/apps/${app}/machines/${id}`
    return (await this.#stage.platform.must(200, GATEWAY, 'GET', path)).state
  }

  async becomes(app: string, id: string, state: string): Promise<void> {
    const path = `/apps/${app}/machines/${id}/wait?state=${state}&timeout=60`
    await this.#stage.platform.must(200, GATEWAY, 'GET', path)
  }

  /** Of its first process: another when it was started anew, the same when it went on. */
  async bornAt(app: string, id: string): Promise<string> {
    const body = { command: ['cut', '-d', ' ', '-f22', '/proc/1/stat'] }
    const path = `/apps/${app}/machines/${id}/exec`
    return (await this.#stage.platform.must(200, GATEWAY, 'POST', path, body)).stdout.trim()
  }

  async touch(app: string, id: string): Promise<void> {
    const body = { command: ['touch', '/tmp/go'] }
    await this.#stage.platform.must(200, GATEWAY, 'POST', `/apps/${app}/machines/${id}/exec`, body)
  }

  /** So many requests and connections lead to an app's machines in ams. */
  inFlight(app: string, count: number): Promise<unknown> {
    const look = () => this.#stage.platform.proxyTop(GATEWAY)
    const isSo = (seen: TopView | undefined) =>
      seen?.apps.some((one) => one.app === app && one.in_flight === count) === true
    return eventually(`${count} of ${app}`, look, isSo, LONG_MS)
  }
}

/**
 * `auto_stop_machines = "stop"`: with n running, n - (over soft + 1) are in excess; `min_machines_running` stay in the
 * primary region alone; a request wakes what was stopped.
 */
export async function stopsTheNeedless(stage: AutostopStage): Promise<void> {
  const { ask, known } = stage
  const apps = new Apps(stage)
  const limits = { type: 'requests', soft_limit: 1 }
  const service = { autostop: 'stop', min_machines_running: 1, concurrency: limits }
  await apps.make('lark')
  const busy: { id: string; answer: Promise<string> }[] = []
  for (let count = 1; count <= 2; count += 1) {
    const id = await apps.place('lark', 'ams', service)
    await known('lark', count)
    busy.push({ id, answer: ask('ams-client', 'lark', '/cgi-bin/slow') })
    await apps.inFlight('lark', count)
  }
  const ids = [...busy.map(({ id }) => id), await apps.place('lark', 'ams', service)]
  await known('lark', 3)

  // 3 - (2 over soft + 1): none is in excess. That a pass has come is told by an app whose only machine idles.
  await apps.make('midge')
  const midge = await apps.place('midge', 'ams', { autostop: 'stop' })
  await apps.becomes('midge', midge, 'stopped')
  for (const id of ids) assert.equal(await apps.state('lark', id), 'started')

  const [first, second] = busy
  assert(first !== undefined && second !== undefined)
  await apps.touch('lark', second.id)
  assert.equal(await second.answer, 'ams slow 200')
  await known('lark', 2)
  assert.equal(await apps.state('lark', first.id), 'started', 'the least loaded one is stopped')
  await apps.touch('lark', first.id)
  assert.equal(await first.answer, 'ams slow 200')
  await known('lark', 1)

  // The last one of the primary region stays, one elsewhere does not.
  const far = await apps.place('lark', 'iad', service)
  await apps.becomes('lark', far, 'stopped')
  const [lowest, ...others] = ids.toSorted()
  assert.equal(await apps.state('lark', lowest ?? ''), 'started')
  for (const id of others) assert.equal(await apps.state('lark', id), 'stopped')

  await known('midge', 0)
  assert.equal(await ask('nrt-client', 'midge'), 'ams 200', 'it is woken')
}

/** `auto_stop_machines = "suspend"`: whoever has a WebSocket to it hears that it goes, wherever; a request resumes it. */
export async function suspendsTheNeedless(t: TestContext, stage: AutostopStage): Promise<void> {
  const { world, ask, known } = stage
  const apps = new Apps(stage)
  const service = { autostop: 'suspend', internal_port: WEB_SOCKET_PORT }
  await apps.make('owl')
  const open = (client: string, id: string) => {
    const words = ['-e', WEB_SOCKET_CLIENT, SHARED_V4, `owl.${APP_DOMAIN}`, id]
    const child = world.node(client).spawn(process.execPath, words)
    t.after(() => signalSpawned(child))
    let heard = ''
    child.stdout?.setEncoding('utf8').on('data', (text) => {
      heard += text
    })
    child.stderr?.on('data', (text) => process.stderr.write(text))
    const hears = (what: RegExp) =>
      eventually(
        `${what}`,
        () => heard,
        (text) => what.test(text),
        LONG_MS,
      )
    return { hears, end: () => signalSpawned(child) }
  }
  const place = async () => {
    const id = await apps.place('owl', 'ams', service)
    const netns = `--net=/run/netns/godwit-machine-${id}`
    const words = [netns, process.execPath, '-e', WEB_SOCKET_SERVER]
    const child = world.node(GATEWAY).spawn('nsenter', words)
    t.after(() => signalSpawned(child))
    return id
  }
  const kept = await place()
  const idle = [open('ams-client', kept), open('ams-client', kept)]
  for (const socket of idle) await socket.hears(SWITCHING)
  const bornAt = await apps.bornAt('owl', kept)
  const needless = await place()
  /** On a machine that is busy with others the path between two hosts may break, and whoever was on it comes again. */
  const isToldThatItGoes = async () => {
    const socket = open('nrt-client', needless)
    return GOING_AWAY.test(await socket.hears(new RegExp(`${GOING_AWAY.source}|end|broken`)))
  }
  await eventually('goodbye', isToldThatItGoes, (isTold) => isTold, LONG_MS)
  await apps.becomes('owl', needless, 'suspended')
  assert.equal(await apps.state('owl', kept), 'started', 'an idle WebSocket is a load')

  for (const socket of idle) socket.end()
  await apps.becomes('owl', kept, 'suspended')
  await known('owl', 0)
  const toIt = ['-H', `fly-force-instance-id: ${kept}`]
  assert.equal(await ask('nrt-client', 'owl', '/', toIt), 'awake 200')
  await open('ams-client', kept).hears(SWITCHING) // else it may be suspended again
  assert.equal(await apps.bornAt('owl', kept), bornAt, 'it went on where it was')
}
