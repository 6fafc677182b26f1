import assert from 'node:assert/strict'
import { join, resolve } from 'node:path'
import test, { type TestContext } from 'node:test'
import type { PlanetNode } from '#planet'
import { eventually, testPlanet } from './planet-world.ts'
import { HOSTS, IMAGE, type Organisation, Platform } from './platform-on-planet.ts'

const GODWIT = resolve(import.meta.dirname, '../bin/godwit')
const LONG_MS = 90_000
const [ams, iad, nrt] = HOSTS
const hostOf = { ams, iad, nrt } as const
type Region = keyof typeof hostOf

interface Machine {
  readonly id: string
  readonly app: string
  readonly by: Organisation
  readonly host: string
  readonly privateIp: string
}

const NODE = resolve(import.meta.dirname, '../bin/node')

/** Runs hear-logs.ts in a node until the test ends. @returns what it has said */
function hearLogs(t: TestContext, node: PlanetNode, words: readonly string[]): () => string {
  const program = resolve(import.meta.dirname, 'hear-logs.ts')
  const child = node.spawn(NODE, [program, ...words])
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (piece: Buffer) => {
      said += piece
    })
  }
  t.after(() => {
    if (child.exitCode === null && child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
  })
  return () => said
}

test('machines made by curl alone have the private network', async (t) => {
  const world = await testPlanet(t, 'network')
  const platform = await Platform.start(t, world)

  const make = async (app: string, region: Region, by: Organisation): Promise<Machine> => {
    const path = `/apps/${app}/machines`
    const body = { region, config: { image: IMAGE } }
    const { id } = await platform.must(200, ams, 'POST', path, body, by)
    const wait = `${path}/${id}/wait?state=started&timeout=60`
    await platform.must(200, ams, 'GET', wait, undefined, by)
    const { private_ip: privateIp } = await platform.must(
      200,
      ams,
      'GET',
      `${path}/${id}`,
      undefined,
      by,
    )
    return { id, app, by, host: hostOf[region], privateIp }
  }
  /** By flaps, as a user does it. What the command printed, its failure included. */
  const exec = async ({ id, app, by }: Machine, ...command: string[]): Promise<string> => {
    const path = `/apps/${app}/machines/${id}/exec`
    const ask = () => platform.call(ams, 'POST', path, { command, timeout: 20 }, by)
    // 429: asked too often
    const { status, json } = await eventually(
      'an exec',
      ask,
      (seen) => seen.status !== 429,
      LONG_MS,
    )
    assert.equal(status, 200, JSON.stringify(json))
    return `${json.stdout}${json.stderr}`
  }
  /** The supervisor first, which would start them anew. */
  const killAllBut = async (kept: string, host: string): Promise<void> => {
    const parts = await platform.box.parts(host)
    const supervisor = world.commands(host).find(({ name }) => name === 'host')
    assert.ok(supervisor !== undefined)
    process.kill(supervisor.leader.pid, 'SIGKILL')
    const ended = parts.filter(({ name }) => name !== kept).map(({ pid }) => String(pid))
    await world.node(host).run('kill', ['-9', ...ended])
  }
  /** By its namespace, which needs no daemon. */
  const inside = ({ id, host }: Machine, ...command: string[]): Promise<string> => {
    const line = 'netns=$1; shift; nsenter --net="$netns" -- "$@" 2>&1 || true'
    const words = ['-c', line, 'sh', `/run/netns/godwit-machine-${id}`, ...command]
    return world.node(host).run('sh', words)
  }
  const ping = (to: string) => ['ping', '-c', '1', '-W', '3', to]
  const isAnswered = (printed: string) => / 1 (packets )?received/.test(printed)
  const lookUp = (name: string) => ['busybox', 'nslookup', '-type=aaaa', name, 'fdaa::3']
  const addressesIn = (printed: string) =>
    [...printed.matchAll(/has AAAA address (\S+)|Address(?: \d+)?: (fdaa:0:\S+)/g)]
      .map(([, one, other]) => one ?? other ?? '')
      .filter((address) => address.includes(':a7b:'))
      .sort()

  for (const [app, by] of [
    ['heron', 'birds'],
    ['shark', 'fish'],
  ] as const) {
    await platform.must(201, ams, 'POST', '/apps', { app_name: app, org_slug: by }, by)
  }
  const herons = [
    await make('heron', 'ams', 'birds'),
    await make('heron', 'iad', 'birds'),
    await make('heron', 'nrt', 'birds'),
  ] as const
  const shark = await make('shark', 'ams', 'fish')
  const herps = herons.map(({ privateIp }) => privateIp).sort()
  const circle = herons.map(
    (from, at) => [from, herons[(at + 1) % herons.length] as Machine] as const,
  )

  await t.test('each has an address of its network and its host', async () => {
    for (const { host, privateIp } of [...herons, shark]) {
      const printed = await world.node(host).run(GODWIT, ['net', 'status', '--json'])
      const { machines, mesh } = JSON.parse(printed)
      assert.ok(machines.some((one: Machine) => one.privateIp === privateIp))
      assert.equal(mesh.length, 1)
    }
    const networks = new Set([...herons, shark].map(({ privateIp }) => privateIp.split(':a7b:')[0]))
    assert.equal(networks.size, 2)
  })

  await t.test('those of one organisation reach each other by address and by name', async () => {
    for (const [from, to] of circle) {
      const pinged = () => exec(from, ...ping(to.privateIp))
      await eventually(`${from.host} to ${to.host}`, pinged, isAnswered, LONG_MS)
      const named = () => exec(from, ...lookUp('heron.internal')).then(addressesIn)
      const isAll = (seen: string[]) => seen.join() === herps.join()
      await eventually(`names at ${from.host}`, named, isAll, LONG_MS)
      const [address] = addressesIn(await exec(from, ...lookUp(`${to.id}.vm.heron.internal`)))
      assert.equal(address, to.privateIp)
      const page = await exec(from, 'wget', '-qO-', `http://[${address}]/`)
      assert.equal(page, 'a page\n')
    }
  })

  await t.test('another organisation’s are neither reached nor resolved', async () => {
    const [near, far] = herons
    for (const to of [near, far]) {
      assert.ok(!isAnswered(await exec(shark, 'ping', '-c', '1', '-W', '1', to.privateIp)))
      assert.deepEqual(addressesIn(await exec(shark, ...lookUp('heron.internal'))), [])
      assert.deepEqual(addressesIn(await exec(shark, ...lookUp(`${to.id}.vm.heron.internal`))), [])
    }
    const own = () => exec(shark, ...lookUp('shark.internal')).then(addressesIn)
    await eventually('its own name', own, (seen) => seen.join() === shark.privateIp, LONG_MS)
    const printed = await world.node(ams).run(GODWIT, ['net', 'status', '--json'])
    const status = JSON.parse(printed).machines.find((one: Machine) => one.id === shark.id)
    assert.ok(status.counters.drops.other_network >= 2)
  })

  await t.test(
    'a person’s device reaches the organisation’s machines in any region, and no other’s',
    async (part) => {
      const client = world.node('iad-client')
      const wireguard = (...words: string[]) =>
        client.run(GODWIT, ['wireguard', ...words, ...platform.connection(iad)])
      const rows = async () => JSON.parse(await wireguard('list', 'birds', '--json'))
      const config = await eventually(
        'a gateway in iad',
        () => wireguard('create', 'birds', 'iad', 'laptop').catch((error) => String(error)),
        (printed) => printed.startsWith('[Interface]'),
        LONG_MS,
      )
      const [address = '', dns = ''] = ['Address', 'DNS'].map(
        (key) => new RegExp(`^${key} = (\\S+)$`, 'm').exec(config)?.[1],
      )
      const [, prefix = ''] = /^AllowedIPs = (\S+)$/m.exec(config) ?? []
      const [, gatewayKey = ''] = /^PublicKey = (\S+)$/m.exec(config) ?? []
      assert.ok(address.startsWith(dns.replace('::3', ':a7b:')) && address.endsWith('2/120'))
      // What wg-quick does with the file, but for resolv.conf, which a city shares with its computer.
      const up = `
      ip link add laptop type wireguard 2>/dev/null || wireguard-go laptop
      sed -e '/^Address/d; /^DNS/d' | wg setconf laptop /dev/stdin
      ip -6 address add ${address} dev laptop nodad
      ip link set laptop mtu 1420 up
      ip -6 route add ${prefix} dev laptop`
      await client.run('sh', ['-ec', `printf %s "$1" | (${up})`, 'sh', config])
      const asPerson = (...command: string[]) =>
        client.run('sh', ['-c', '"$@" 2>&1 || true', 'sh', ...command])
      const askName = (name: string) => asPerson('busybox', 'nslookup', '-type=aaaa', name, dns)
      const named = async () => addressesIn(await askName('heron.internal'))
      await eventually('names', named, (seen) => seen.join() === herps.join(), LONG_MS)
      for (const { id } of herons) {
        const [at] = addressesIn(await askName(`${id}.vm.heron.internal`))
        const page = () => asPerson('curl', '-sS', '--max-time', '5', `http://[${at}]/`)
        await eventually(`the page of ${id}`, page, (seen) => seen === 'a page\n', LONG_MS)
      }
      const [own] = address.split('/')
      const peerName = await exec(herons[2], ...lookUp('laptop._peer.internal'))
      assert.deepEqual(addressesIn(peerName), [own])
      assert.ok(
        isAnswered(await exec(herons[2], ...ping(String(own)))),
        'a machine finds the device',
      )
      await client.run('ip', ['-6', 'route', 'add', `${shark.privateIp}/128`, 'dev', 'laptop'])
      await client.run('wg', ['set', 'laptop', 'peer', gatewayKey, 'allowed-ips', 'fdaa::/16'])
      assert.ok(!isAnswered(await asPerson('ping', '-c', '1', '-W', '1', shark.privateIp)))
      assert.deepEqual(addressesIn(await askName('shark.internal')), [])
      const hasApi = await askName('_api.internal')
      assert(hasApi.includes(`Address: ${dns}`) || hasApi.includes(`address ${dns}`), hasApi)
      const api = `http://[${dns}]:4280`
      const asked = (path: string, by: Organisation) =>
        asPerson(
          ...['curl', '-sS', '--max-time', '20', '-w', '\n%{http_code}'],
          ...['-H', `authorization: ${platform.token(by)}`, `${api}${path}`],
        )
      const listed = await asked('/v1/apps/heron/machines', 'birds')
      for (const { id } of herons) assert(listed.includes(id), listed)
      assert.match(listed, /\n200$/)
      assert.match(await asked('/', 'birds'), /\n404$/)
      for (const app of ['heron', 'shark']) {
        assert.match(await asked(`/v1/apps/${app}/machines`, 'fish'), /\n403$/, app)
      }
      const hear = (by: Organisation, subject: string, token = platform.token(by)) =>
        hearLogs(part, client, [`[${dns}]:4223`, by, token, subject])
      const lines = hear('birds', 'logs.>')
      const foreign = hear('birds', 'logs.shark.*.*')
      const stranger = hear('fish', 'logs.>')
      await eventually('the log stream', lines, (text) => text.includes('listening'), LONG_MS)
      await eventually('its refusal', foreign, (text) => /refused: .*shark/.test(text), LONG_MS)
      await eventually(
        'no entry',
        stranger,
        (text) => /Authorization Violation/i.test(text),
        LONG_MS,
      )
      const { app, id, by } = herons[2]
      for (const one of [shark, herons[2]]) {
        const path = `/apps/${one.app}/machines/${one.id}/restart`
        await platform.must(200, ams, 'POST', path, undefined, one.by)
      }
      const isOwn = (text: string) => text.includes(`"name":"${app}","instance":"${id}"`)
      await eventually('a line of its machine', lines, isOwn, LONG_MS)
      await platform.must(
        200,
        ams,
        'GET',
        `/apps/${app}/machines/${id}/wait?state=started&timeout=60`,
        undefined,
        by,
      )
      assert(!lines().includes('shark'), 'and none of another organisation')
      const isHeard = (seen: { last_handshake: string | null }[]) =>
        seen[0]?.last_handshake !== null
      await eventually('its handshake in its status', rows, isHeard, LONG_MS)
      const { gateway } = JSON.parse(await platform.godwit(iad, ['net', 'status', '--json']))
      const [device] = gateway.devices
      assert.deepEqual([device.peerIp, device.transport], [own, 'udp'])
      assert(Date.now() - device.handshakeMs < 180_000)
      const keyOf = async (app: string, by: Organisation) => {
        const path = join(platform.folder, `key-${app}`)
        const words = ['ssh', 'issue', '-a', app, path, ...platform.connection(iad, by)]
        await client.run(GODWIT, words)
        return path
      }
      const ssh = (to: Machine, key: string, command: string) => {
        const known = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null']
        const quiet = ['BatchMode=yes', 'ConnectTimeout=20', 'LogLevel=ERROR']
        const options = [...known, ...quiet].flatMap((one) => ['-o', one])
        const words = ['-F', 'none', '-i', key, ...options]
        return asPerson('ssh', ...words, `root@${to.privateIp}`, command)
      }
      const key = await keyOf('heron', 'birds')
      for (const to of herons) assert.equal(await ssh(to, key, 'uname -n'), `${to.id}\n`)
      const foreignKey = await keyOf('shark', 'fish')
      assert.match(await ssh(herons[0], foreignKey, 'uname -n'), /Permission denied/)
      const strange = await asPerson('busybox', 'nc', '-w', '2', shark.privateIp, '22')
      assert.ok(!strange.includes('SSH'), 'its network is another')
      const greeting = `timeout 9 nc -w 3 ${herons[2].privateIp} 22 </dev/null | head -c 14`
      assert.equal(await exec(herons[0], 'sh', '-c', greeting), 'SSH-2.0-godwit')
      await wireguard('remove', 'birds', 'laptop')
      const reach = () => asPerson('ping', '-c', '1', '-W', '1', herons[0].privateIp)
      await eventually('the cut', reach, (printed) => !isAnswered(printed), LONG_MS)
      await client.run('ip', ['link', 'delete', 'laptop'])
    },
  )

  await t.test(
    'machines reach the API by its name, on hosts that are no gateways, too',
    async () => {
      const ask = (from: Machine, path: string, by = from.by) => {
        const header = `authorization: ${platform.token(by)}`
        const words = ['-qO-', '--header', header, `http://[fdaa::3]:4280${path}`]
        return exec(from, 'wget', ...words)
      }
      for (const from of [herons[2], herons[0], shark]) {
        const list = () => ask(from, `/v1/apps/${from.app}/machines`) // it may have started just now
        await eventually(
          `its list at ${from.host}`,
          list,
          (text) => text.includes(from.id),
          LONG_MS,
        )
      }
      assert.match(await ask(herons[2], '/v1/apps/shark/machines', 'fish'), /403 Forbidden/)
      assert.match(await exec(herons[2], ...lookUp('_api.internal')), /fdaa:\S*::3/)
    },
  )

  await t.test('the doctor finds a gateway whose port for devices is blocked', async () => {
    const faults = async () => {
      const words = ['-c', '"$@" || true', 'sh', GODWIT, 'doctor', 'network', '--json']
      const found = JSON.parse(await world.node(nrt).run('sh', words)).faults
      return found.map((one: { kind: string; subject: string }) => `${one.kind} ${one.subject}`)
    }
    await eventually('no fault', faults, (seen) => seen.length === 0, LONG_MS)
    const block = `nft add table inet trial
      nft 'add chain inet trial in { type filter hook input priority -10; }'
      nft add rule inet trial in udp dport 51820 drop`
    await world.node(iad).run('sh', ['-ec', block])
    assert.deepEqual(await faults(), ['port_blocked gateway iad-1'])
    await world.node(iad).run('nft', ['delete', 'table', 'inet', 'trial'])
  })

  await t.test('a host changes its key and no packet is lost', async () => {
    const [from, , to] = herons
    const flow = inside(from, 'ping', '-i', '0.05', '-c', '100', '-W', '3', to.privateIp)
    await world.node(nrt).run(GODWIT, ['net', 'rotate-key'])
    assert.match(await flow, / 0% packet loss/)
    const keys = async () => {
      const printed = await world.node(ams).run(GODWIT, ['net', 'status', '--json'])
      return JSON.parse(printed).peers.filter((one: { handshakeMs?: number }) => one.handshakeMs)
        .length
    }
    await eventually('a handshake under the new key', keys, (count) => count >= 3, LONG_MS)
  })

  await t.test('round trips between hosts are measured and told to all', async () => {
    const body = '"SELECT host_id, peer_id, rtt_us FROM host_links WHERE rtt_us IS NOT NULL"'
    const words = ['-s', '-H', 'content-type: application/json', '-d', body]
    const ask = () => world.node(nrt).run('curl', [...words, 'http://127.0.0.1:8080/v1/queries'])
    const isRow = (line: string) => line.includes('"row"')
    const count = async () => (await ask()).split('\n').filter(isRow).length
    await eventually('a row for each pair of hosts', count, (seen) => seen === 6, LONG_MS)
  })

  await t.test(
    'traffic and names go on without corrosion, flyd, NATS and the mesh’s daemon',
    async () => {
      for (const host of HOSTS) await killAllBut('dns', host)
      for (const [from, to] of circle) {
        assert.ok(
          isAnswered(await inside(from, ...ping(to.privateIp))),
          `${from.host} to ${to.host}`,
        )
        assert.deepEqual(addressesIn(await inside(from, ...lookUp('heron.internal'))), herps)
      }
      assert.deepEqual(addressesIn(await inside(shark, ...lookUp('heron.internal'))), [])
      const page = await inside(
        herons[0],
        'busybox',
        'wget',
        '-qO-',
        `http://[${herons[2].privateIp}]/`,
      )
      assert.equal(page, 'a page\n')
    },
  )
})
