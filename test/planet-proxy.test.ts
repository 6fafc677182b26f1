import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { changePart, hostStatus } from '#host'
import { BOX_TOPOLOGY, loadTopology } from '#planet'
import type { TopView } from '#proxy'
import { PlanetAuthority } from './acme-on-planet.ts'
import { QUICK_AUTOSTOP, stopsTheNeedless, suspendsTheNeedless } from './autostop-on-planet.ts'
import { BackhaulWatch, cutMesh, healMesh, watchEdges } from './backhaul-watch.ts'
import { eventually, Prober, signalSpawned, testPlanet } from './planet-world.ts'
import {
  APP_DOMAIN,
  DEDICATED_V4,
  HOSTS,
  IMAGE,
  type Organisation,
  Platform,
  SHARED_V4,
} from './platform-on-planet.ts'

const LONG_MS = 90_000
const [ams] = HOSTS
const CLIENTS = { 'ams-client': 'ams', 'iad-client': 'iad', 'nrt-client': 'nrt' } as const
const ALL_CLIENTS = [...Object.keys(CLIENTS), 'syd-client', 'gru-client']

/** Answers with its region: `slow` once somebody asked for `go`, `far` with a replay to another. */
const SERVER = String.raw`cd /www && mkdir cgi-bin && echo $FLY_REGION > index.html
cat > cgi-bin/slow <<'END'
#!/bin/sh
while [ ! -e /tmp/go ]; do sleep 0.1; done
printf 'HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n%s slow' $FLY_REGION
END
cat > cgi-bin/go <<'END'
#!/bin/sh
touch /tmp/go
printf 'HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n'
END
cat > cgi-bin/far <<'END'
#!/bin/sh
[ $FLY_REGION = nrt ] || replay='fly-replay: region=nrt\r\n'
printf "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n$replay\r\n%s" $FLY_REGION
END
chmod +x cgi-bin/* && exec httpd -f -h /www`

/** Of the app heron. The authority looks at the first by HTTP, at the second in TLS. */
const OWN_NAMES = ['http.heron.example', 'www.heron.example']

const UDP_PORT = 5_000
/** Inside a machine's network: answers with its name, who asked, and what. */
const UDP_ECHO = `const socket = require('dgram').createSocket('udp4')
socket.on('message', (got, { address, port }) =>
  socket.send(process.argv[2] + ' ' + address + ':' + port + ' ' + got, port, address))
socket.bind(${UDP_PORT}, process.argv[1])`
/** Answers in segments of 1,000 bytes, which the kernel of a container hands on as one packet (UDP_SEGMENT). */
const UDP_SEGMENTS = `use Socket; socket(S, PF_INET, SOCK_DGRAM, 17) or die;
bind(S, sockaddr_in(${UDP_PORT + 1}, inet_aton($ARGV[0]))) or die;
setsockopt(S, 17, 103, pack("i", 1000)) or die;
while (defined($from = recv(S, $got, 2000, 0))) { send(S, "x" x 2500, 0, $from) or die }`
/** Asks until there is an answer, from one port; prints whom it came from, the own end, and what it said. */
const UDP_ASK = `const [to, port, text, forMs] = process.argv.slice(1)
const socket = require('dgram').createSocket('udp4')
socket.on('message', (got, from) => {
  console.log(from.address + ':' + from.port, socket.address().port, String(got))
  process.exit()
})
const ask = () => socket.send(text, Number(port), to)
ask()
setInterval(ask, 500)
setTimeout(() => process.exit(), Number(forMs))`
/** Talks from one port until it is told to end; then prints what was lost, and all that was said in answer. */
const UDP_TALK = `const [to, port] = process.argv.slice(1)
const socket = require('dgram').createSocket('udp4')
const open = new Set(), said = new Set()
let sent = 0
socket.on('message', (got, from) => {
  const words = String(got).split(' ')
  open.delete(words.pop())
  said.add(from.address + ' ' + words.join(' '))
})
const talk = setInterval(() => {
  open.add(String(sent))
  socket.send(String(sent++), Number(port), to)
}, 20)
process.once('SIGTERM', () => {
  clearInterval(talk)
  const endMs = Date.now() + 5000
  setInterval(() => {
    if (open.size > 0 && Date.now() < endMs) return
    console.log(JSON.stringify({ sent, lost: [...open], said: [...said] }))
    process.exit()
  }, 20)
})`

const serviceOf = (limits: object) => ({
  protocol: 'tcp',
  internal_port: 80,
  ports: [
    { port: 80, handlers: ['http'] },
    { port: 443, handlers: ['tls', 'http'] },
  ],
  autostart: true,
  autostop: 'off',
  concurrency: { type: 'requests', soft_limit: 1_000, ...limits },
})

test('connections of the world reach machines, on a planet', async (t) => {
  const box = loadTopology(BOX_TOPOLOGY)
  const regions = box.regions.map((region) => (region.hosts ? { ...region, hosts: 1 } : region))
  const world = await testPlanet(t, 'proxy', { latency: false, regions })
  const watch = await BackhaulWatch.begin(world, HOSTS)
  const authority = await PlanetAuthority.start(t, world, 'gru-client', SHARED_V4)
  const { directoryUrl } = authority
  const platform = await Platform.start(t, world, { directoryUrl, autostop: QUICK_AUTOSTOP })

  const ids = new Map<string, string>()
  /** An app with one machine in each region, all started. */
  const makeApp = async (
    app: string,
    where: readonly string[],
    limits = {},
    type = 'shared_v4',
    by: Organisation = 'birds',
  ) => {
    await platform.must(201, ams, 'POST', '/apps', { app_name: app, org_slug: by }, by)
    const address = `/apps/${app}/ip_assignments`
    await platform.must(200, ams, 'POST', address, { type }, by)
    const config = {
      image: IMAGE,
      init: { cmd: ['sh', '-c', SERVER] },
      services: [serviceOf(limits)],
      statics: [{ guest_path: '/www', url_prefix: '/files' }],
      restart: { policy: 'no' },
    }
    for (const region of where) {
      const body = { region, config }
      const { id } = await platform.must(200, ams, 'POST', `/apps/${app}/machines`, body, by)
      ids.set(`${app} ${region}`, id)
    }
  }
  const pathOf = (app: string, region: string) =>
    `/apps/${app}/machines/${ids.get(`${app} ${region}`)}`

  /** One request by curl: its status and body, or what curl says. `app`: its own name on the platform, or another one. */
  const ask = async (client: string, app: string, path = '/', more: readonly string[] = []) => {
    const isTls = more.includes('--cacert')
    const name = app.includes('.') ? app : `${app}.${APP_DOMAIN}`
    const url = `${isTls ? 'https' : 'http'}://${name}${path}`
    const to = ['--connect-to', `${name}::${SHARED_V4}:`, '-sS', '--max-time', '70']
    const words = [...to, '-w', ' %{http_code}', ...more, url]
    const node = world.node(client)
    const printed = await node
      .run('curl', words, { deadlineMs: LONG_MS })
      .catch((error: unknown) => String(error))
    return printed.replaceAll('\n', '').trim()
  }
  const answers = (client: string, app: string, wanted: string) =>
    eventually(
      `${app} for ${client}`,
      () => ask(client, app),
      (seen) => seen === wanted,
      LONG_MS,
    )
  /** Every proxy knows so many running machines of an app. */
  const known = async (app: string, running: number) => {
    const isKnown = (seen: TopView | undefined) =>
      seen?.apps.some((one) => one.app === app && one.running === running) === true
    for (const host of HOSTS) {
      await eventually(`${app} at ${host}`, () => platform.proxyTop(host), isKnown, LONG_MS)
    }
  }

  /** An app's only machine is at rest, and every proxy knows. */
  const stop = async (app: string, region: string) => {
    await platform.must(200, ams, 'POST', `${pathOf(app, region)}/stop`)
    const wait = `${pathOf(app, region)}/wait?state=stopped&timeout=60`
    await platform.must(200, ams, 'GET', wait)
    await known(app, 0)
  }

  /** `godwit certs` of heron, as a person in a city has it. */
  const certs = async (verb: string, name: string) => {
    const words = ['certs', verb, name, '-a', 'heron', '--json', ...platform.connection(ams)]
    return JSON.parse(await platform.godwit('syd-client', words))
  }
  await t.test('each city is served by the nearest region, at one address', async () => {
    await makeApp('heron', Object.values(CLIENTS))
    await known('heron', 3)
    for (const [client, region] of Object.entries(CLIENTS)) {
      await answers(client, 'heron', `${region} 200`)
    }
    assert.match(await ask('syd-client', 'heron'), /^(nrt|ams) 200$/)
    assert.equal(await ask('gru-client', 'heron'), 'iad 200')
    assert.equal(await ask('gru-client', 'nobody'), '404')
    for (const name of OWN_NAMES) await certs('add', name) // they come meanwhile
  })

  await t.test(
    'TLS by server name, with the certificate of the planet’s own authority',
    async () => {
      const trust = ['--cacert', join(platform.folder, 'ca/ca.pem')]
      for (const [client, region] of Object.entries(CLIENTS)) {
        assert.equal(await ask(client, 'heron', '/', trust), `${region} 200`)
        assert.equal(await ask(client, 'heron', '/', [...trust, '--http1.1']), `${region} 200`)
      }
      assert.match(await ask('ams-client', 'nobody', '/', trust), /alert|unrecognized|SSL/)
    },
  )

  await t.test('a replay goes to another region’s machine', async () => {
    assert.equal(await ask('ams-client', 'heron', '/cgi-bin/far'), 'nrt 200')
  })

  await t.test('files of machines are served without their apps, here and from afar', async () => {
    assert.equal(await ask('ams-client', 'heron', '/files/index.html'), 'ams 200')
    assert.match(await ask('ams-client', 'heron', '/files/none'), / 404$/, 'the app says so')
    const header = ['-H', 'fly-prefer-region: nrt']
    assert.equal(await ask('ams-client', 'heron', '/files/index.html', header), 'nrt 200')
  })

  await t.test('a preferred region is reached over the backhaul', async () => {
    const header = ['-H', 'fly-prefer-region: nrt']
    assert.equal(await ask('ams-client', 'heron', '/', header), 'nrt 200')
  })

  /** New processes take over from the proxies of ams (edge) and iad (worker), under load: nothing is lost. */
  const replaceProxies = async (t: TestContext, ip: string) => {
    const headers = { host: `heron.${APP_DOMAIN}`, 'fly-prefer-region': 'iad' }
    const load = { intervalMs: 20, deadlineMs: 20_000, headers }
    const url = `http://${SHARED_V4}/`
    const prober = new Prober(t, world, 'ams-client', [url], load)
    // Each at an edge whose own machine answers: a host that is starved of CPU counts as out of reach to others.
    const edgesOf = await watchEdges(world, HOSTS, UDP_PORT)
    const talks = ['ams-client', 'gru-client'].map((client) => {
      const words = ['-e', UDP_TALK, ip, String(UDP_PORT)]
      const child = world.node(client).spawn(process.execPath, words)
      t.after(() => signalSpawned(child))
      let printed = ''
      child.stdout?.setEncoding('utf8').on('data', (text: string) => {
        printed += text
      })
      const over = once(child, 'close').then(() => JSON.parse(printed))
      over.catch(() => undefined) // the test has failed before
      return { client, child, over }
    })
    const answered = () =>
      eventually(
        'answers',
        () => prober.since(Date.now() - 5_000).length,
        (count) => count >= 20,
        LONG_MS,
      )
    for (const host of [ams, 'iad-1']) {
      await answered()
      const socket = platform.box.socketOf(host)
      const before = (await hostStatus(socket)).find(({ name }) => name === 'proxy')
      const beganMs = Date.now()
      const after = (await changePart(socket, 'restart', 'proxy')).find(
        ({ name }) => name === 'proxy',
      )
      t.diagnostic(`the proxy of ${host} was replaced in ${Date.now() - beganMs} ms`)
      assert.notEqual(after?.pid, before?.pid)
      const isGone = () => !existsSync(`/proc/${before?.pid}`)
      await eventually('the end of the old one', isGone, (gone) => gone, LONG_MS)
    }
    await answered()
    prober.stop()
    const failed = prober.records.filter(({ error }) => error !== undefined)
    t.diagnostic(`${failed.length} of ${prober.records.length} requests failed`)
    assert.deepEqual(failed, [])
    for (const { client, child, over } of talks) {
      signalSpawned(child, 'SIGTERM')
      const { sent, lost, said } = await over
      t.diagnostic(`${lost.length} of ${sent} datagrams were not answered`)
      assert.deepEqual(lost, [])
      // On a machine that is busy with others a route may lead to another edge meanwhile, which chooses for itself.
      const edges = await edgesOf(client)
      t.diagnostic(`${client}: by ${edges} to ${said}`)
      assert(said.length <= edges.length, `a machine, and one port of the client: ${said}`)
    }
  }

  await t.test(
    'UDP reaches the nearest machine with its client’s address, in every region',
    async (t) => {
      await platform.must(201, ams, 'POST', '/apps', { app_name: 'wren', org_slug: 'birds' })
      const { ip } = await platform.must(200, ams, 'POST', '/apps/wren/ip_assignments', {
        type: 'v4',
      })
      assert(DEDICATED_V4.includes(ip))
      const config = {
        image: IMAGE,
        init: { cmd: ['sleep', '1000000'] },
        // The port is never rewritten: what is sent to 5000 arrives there.
        services: [
          {
            protocol: 'udp',
            internal_port: 9_999,
            ports: [{ port: UDP_PORT }, { port: UDP_PORT + 1 }],
          },
        ],
        restart: { policy: 'no' },
      }
      for (const [region, host] of [
        ['ams', 'ams-1'],
        ['iad', 'iad-1'],
      ] as const) {
        const body = { region, config }
        const { id } = await platform.must(200, ams, 'POST', '/apps/wren/machines', body)
        ids.set(`wren ${region}`, id)
        const command = ['cat', '/etc/hosts']
        const exec = () => platform.call(ams, 'POST', `${pathOf('wren', region)}/exec`, { command })
        const hosts = await eventually('its hosts', exec, ({ status }) => status === 200, LONG_MS)
        const [, address] = /^(\S+)\s+fly-global-services$/m.exec(hosts.json.stdout) ?? []
        assert(address !== undefined, 'fly-global-services is known inside')
        const netns = `--net=/run/netns/godwit-machine-${id}`
        for (const words of [
          [process.execPath, '-e', UDP_ECHO, address, region],
          ['perl', '-e', UDP_SEGMENTS, address],
        ]) {
          const child = world.node(host).spawn('nsenter', [netns, ...words])
          t.after(() => signalSpawned(child))
        }
      }
      await known('wren', 2)
      const askUdp = async (client: string, text: string, forMs = LONG_MS, port = UDP_PORT) => {
        const words = ['-e', UDP_ASK, ip, String(port), text, String(forMs)]
        const printed = await world
          .node(client)
          .run(process.execPath, words, { deadlineMs: forMs + 20_000 })
        return printed.trim()
      }
      /** The answer of a region: from the app's address, to one who is known there by his own. */
      const isServed = async (client: string, region: string, text = 'hello') => {
        const said = await askUdp(client, text)
        const [, port] = said.split(' ')
        const own = world.node(client).plan.ipv4
        assert.equal(said, `${ip}:${UDP_PORT} ${port} ${region} ${own}:${port} ${text}`)
      }
      await isServed('ams-client', 'ams')
      await isServed('iad-client', 'iad')
      await isServed('gru-client', 'iad')
      // No machine is in nrt: another region's serves, and the third one's when the path to it breaks.
      const regionFor = async () =>
        /^\S+ \S+ (ams|iad) \S+ far$/.exec(await askUdp('nrt-client', 'far'))?.[1]
      const far = await regionFor()
      assert(far !== undefined)
      await cutMesh(world, 'nrt-1', `${far}-1`)
      const other = far === 'ams' ? 'iad' : 'ams'
      await eventually('another region', regionFor, (seen) => seen === other, LONG_MS)
      await healMesh(world, 'nrt-1')
      await isServed('ams-client', 'ams', 'x'.repeat(1_300))
      assert.equal(await askUdp('ams-client', 'x'.repeat(1_473), 2_000), '')
      const [, , part] = (await askUdp('nrt-client', 'go', LONG_MS, UDP_PORT + 1)).split(' ')
      assert.match(part ?? '', /^x{1000}$|^x{500}$/)
      const metrics = ['-sS', 'http://127.0.0.1:9091/metrics']
      const told = await world.node(ams).run('curl', metrics)
      assert.match(told, /drops_count\{region="ams",reason="too_large"\} [1-9]/)
      assert.match(told, /datagrams_count\{region="ams",from="machine"\} [1-9]/)
      await replaceProxies(t, ip)
      await platform.must(200, ams, 'POST', `${pathOf('wren', 'ams')}/stop`)
      await known('wren', 1)
      await isServed('ams-client', 'iad')
    },
  )

  await t.test('a path of the mesh that breaks moves its traffic, and heals', async (t) => {
    const headers = { host: `heron.${APP_DOMAIN}`, 'fly-prefer-region': 'nrt' }
    const url = `http://${SHARED_V4}/`
    const load = { intervalMs: 20, deadlineMs: 20_000, headers }
    const prober = new Prober(t, world, 'ams-client', [url], load)
    const from = (region: string, sinceMs: number) =>
      prober.since(sinceMs).filter(({ answer }) => answer === region)
    const answered = (region: string, sinceMs: number) =>
      eventually(
        `answers of ${region}`,
        () => from(region, sinceMs).length,
        (count) => count >= 20,
        LONG_MS,
      )
    await answered('nrt', 0)
    await cutMesh(world, ams, 'nrt-1')
    const cutMs = Date.now()
    await answered('ams', cutMs)
    await healMesh(world, ams)
    const healedMs = Date.now()
    await answered('nrt', healedMs)
    prober.stop()
    const [first] = from('ams', cutMs)
    const shiftMs = (first?.sentMs ?? 0) + (first?.tookMs ?? 0) - cutMs
    const longestMs = Math.max(...prober.records.map(({ tookMs }) => tookMs))
    const failed = prober.records.filter(({ error }) => error !== undefined)
    t.diagnostic(
      `${failed.length} of ${prober.records.length} requests failed; the first answer of another region ` +
        `${Math.round(shiftMs)} ms after the cut, the longest took ${Math.round(longestMs)} ms`,
    )
    assert.deepEqual(failed, [])
  })

  await t.test('machines reach an app of their network at its private name alone', async () => {
    await makeApp('inner', ['iad'], {}, 'private_v6')
    const { ips } = await platform.must(200, ams, 'GET', '/apps/inner/ip_assignments')
    const address = ips[0].ip
    await known('inner', 1)
    const name = async (app: string, by: Organisation = 'birds') => {
      const body = { command: ['nslookup', 'inner.flycast'] }
      const { json } = await platform.call(ams, 'POST', `${pathOf(app, 'ams')}/exec`, body, by)
      return String(json?.stdout)
    }
    const isNamed = (said: string) => said.includes(`Address: ${address}\n`)
    await eventually('its name', () => name('heron'), isNamed, LONG_MS)
    /** From the network of a machine of an app: its image has no client. */
    const get = async (app: string) => {
      const netns = `--net=/run/netns/godwit-machine-${ids.get(`${app} ams`)}`
      const words = [
        '-gsS',
        '-w',
        ' %{http_code}',
        '--max-time',
        '60',
        '--connect-timeout',
        '5',
        `http://[${address}]/`,
      ]
      const node = world.node(ams)
      const printed = await node
        .run('nsenter', [netns, 'curl', ...words], { deadlineMs: LONG_MS })
        .catch((error: unknown) => String(error))
      return printed.replaceAll('\n', '').trim()
    }
    const isServed = (said: string) => said === 'iad 200'
    await eventually('an answer', () => get('heron'), isServed, LONG_MS)
    await stop('inner', 'iad')
    assert.equal(await get('heron'), 'iad 200', 'a machine that sleeps is woken')

    await makeApp('pike', ['ams'], {}, 'shared_v4', 'fish')
    await known('pike', 1)
    assert.match(await name('pike', 'fish'), /NXDOMAIN|can't find|No answer/)
    assert.match(await get('pike'), /[Tt]imed? ?out|refused/)
  })

  await t.test(
    '200 requests at once to an app that sleeps cause one start and no failure',
    async () => {
      await makeApp('sleeper', ['ams'])
      await known('sleeper', 1)
      await stop('sleeper', 'ams')
      const started = (one: { status: string }) => one.status === 'starting'
      const before = await platform.must(200, ams, 'GET', pathOf('sleeper', 'ams'))
      const many = [
        '--parallel',
        '--parallel-immediate',
        '--parallel-max',
        '200',
        '-o',
        '/dev/null',
      ]
      const codes = await ask('nrt-client', 'sleeper', '/?[1-200]', many)
      assert.deepEqual(codes.split(' '), new Array(200).fill('200'))
      const after = await platform.must(200, ams, 'GET', pathOf('sleeper', 'ams'))
      const starts = after.events.filter(started).length - before.events.filter(started).length
      assert.equal(starts, 1)
    },
  )

  const stage = { world, platform, server: SERVER, ask, known }
  await t.test('machines that nobody needs are stopped, and woken by a request', () =>
    stopsTheNeedless(stage),
  )
  await t.test('a machine that is suspended says goodbye first, and goes on where it was', (t) =>
    suspendsTheNeedless(t, stage),
  )

  await t.test(
    'when all machines of a region are at their hard limit, the next region serves',
    async () => {
      await makeApp('narrow', ['ams', 'iad'], { soft_limit: 1, hard_limit: 1 })
      await known('narrow', 2)
      const first = ask('ams-client', 'narrow', '/cgi-bin/slow')
      const load = () => platform.proxyTop(ams)
      await eventually(
        'the first',
        load,
        (seen) => seen?.apps.some((one) => one.app === 'narrow' && one.in_flight === 1) === true,
      )
      assert.equal(await ask('ams-client', 'narrow'), 'iad 200')
      const command = ['touch', '/tmp/go']
      await platform.must(200, ams, 'POST', `${pathOf('narrow', 'ams')}/exec`, { command })
      assert.equal(await first, 'ams slow 200')
      assert.equal(await ask('ams-client', 'narrow'), 'ams 200')
    },
  )

  await t.test(
    'a machine killed mid-request: that request is told, the next goes elsewhere',
    async () => {
      const slow = ask('ams-client', 'heron', '/cgi-bin/slow')
      const isBusy = (seen: TopView | undefined) =>
        seen?.apps.some((one) => one.app === 'heron' && one.in_flight === 1) === true
      await eventually('the request', () => platform.proxyTop(ams), isBusy)
      await platform.must(200, ams, 'POST', `${pathOf('heron', 'ams')}/stop`, { signal: 'SIGKILL' })
      assert.equal(await slow, '502')
      assert.match(await ask('ams-client', 'heron'), /^(iad|nrt) 200$/)
    },
  )

  await t.test(
    'a host name of an app’s own: one host gets its certificate, and every edge serves it',
    async () => {
      const isActive = ({ status }: { status: string }) => status === 'active'
      for (const name of OWN_NAMES) {
        await eventually(name, () => certs('show', name), isActive, 2 * LONG_MS)
      }
      const { root, issued, orderCount, validations } = await authority.state()
      assert.deepEqual(issued.map(({ name }) => name).toSorted(), OWN_NAMES)
      assert.equal(orderCount, OWN_NAMES.length)
      assert.deepEqual(validations.toSorted(), ['http-01 ok', 'tls-alpn-01 ok'])
      const trusted = join(platform.folder, 'acme-root.pem')
      writeFileSync(trusted, root)
      for (const name of OWN_NAMES) {
        // Each city meets the edge that is nearest.
        for (const client of Object.keys(CLIENTS)) {
          const visit = () => ask(client, name, '/', ['--cacert', trusted])
          await eventually(name, visit, (seen) => seen.endsWith(' 200'), LONG_MS)
        }
        const { certificates, acme_requested: isAsked } = await certs('check', name)
        assert.equal(isAsked, true)
        assert.deepEqual(
          certificates.map(({ source, status }: Record<string, string>) => [source, status]),
          [['fly', 'active']],
        )
      }
    },
  )

  await t.test(
    'a host whose proxy dies is announced no more, and comes back with it',
    async (t) => {
      const url = `http://${SHARED_V4}/`
      const load = { intervalMs: 20, deadlineMs: 5_000, headers: { host: `heron.${APP_DOMAIN}` } }
      const prober = new Prober(t, world, 'ams-client', [url], load)
      const announces = (what: string, count: number) =>
        eventually(
          what,
          () => world.announced(ams),
          (all) => all.length === count,
          LONG_MS,
        )
      /** Requests under way while routes change may meet either host in their middle, and fail. */
      const changes: { fromMs: number; toMs: number }[] = []
      const change = async (what: string, count: number, act: () => Promise<unknown>) => {
        const fromMs = Date.now()
        await act()
        await announces(what, count)
        const announcedMs = Date.now() - fromMs
        await world.settle()
        const toMs = Date.now()
        changes.push({ fromMs, toMs })
        await prober.answered(toMs + 1, 20, [url])
        t.diagnostic(`${what}: after ${announcedMs} ms`)
      }
      const all = world.plan.anycast.length
      await announces('all prefixes', all)
      await prober.answered(Date.now(), 20, [url])
      await change('nothing, when it was killed', 0, () => platform.killParts(ams, 'proxy'))
      const socket = platform.box.socketOf(ams)
      await change('all, when it is back', all, () => changePart(socket, 'start', 'proxy'))
      await change('nothing, when the host was drained', 0, async () => {
        const printed = await platform.godwit(ams, ['net', 'drain', '--json'])
        assert.match(JSON.parse(printed).phase, /^drain(ing|ed)$/) // it may be over when it is told
      })
      await change('all, when it drains no more', all, () =>
        platform.godwit(ams, ['net', 'undrain']),
      )
      prober.stop()
      const failed = prober.records.filter(({ error }) => error !== undefined)
      t.diagnostic(`${failed.length} of ${prober.records.length} requests failed`)
      for (const one of failed) {
        const endMs = one.sentMs + one.tookMs
        const isInTurn = changes.some(({ fromMs, toMs }) => endMs >= fromMs && one.sentMs <= toMs)
        assert(isInTurn, `failed outside of a change: ${JSON.stringify(one)}`)
      }
    },
  )

  await t.test('hosts have spoken to each other through WireGuard alone', async () => {
    const { sealed, clear } = await watch.seen()
    assert.equal(clear, 0, 'TCP between the public addresses of hosts')
    assert(sealed > 0)
    const to = `http://${world.node(ams).plan.ipv4}:9`
    await assert.rejects(world.node('iad-1').run('curl', ['-sS', '--max-time', '5', to]))
    assert((await watch.seen()).clear > 0, 'and it would have been seen')
  })

  await t.test('without corrosion, flyd, NATS and other hosts what runs is served', async () => {
    const slow = ask('nrt-client', 'heron', '/cgi-bin/slow')
    await Promise.all(HOSTS.map((host) => platform.killParts(host, 'flyd', 'corrosion')))
    await platform.stopNats()
    for (const client of ALL_CLIENTS) assert.match(await ask(client, 'heron'), /^(iad|nrt) 200$/)
    await answers('nrt-client', 'heron', 'nrt 200') // by its own edge, which is announced
    for (const host of HOSTS) if (host !== 'nrt-1') await world.kill(host)
    assert.equal(await ask('nrt-client', 'heron'), 'nrt 200')
    assert.equal(await ask('nrt-client', 'heron', '/cgi-bin/go'), '200')
    assert.equal(await slow, 'nrt slow 200')
  })
})
