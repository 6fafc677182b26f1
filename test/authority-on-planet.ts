/** The change of a cluster's CA, and of the key that its hosts share, while it runs. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { copyFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { eventually } from './planet-world.ts'
import { GATEWAYS, type Platform } from './platform-on-planet.ts'

const run = promisify(execFile)
const GODWIT = resolve(import.meta.dirname, '../bin/godwit')
const LONG_MS = 120_000
const [AMS, IAD] = GATEWAYS
/** It is away when the next CA is announced. */
const LATE = 'nrt-1'

interface Shown {
  readonly host: string
  readonly trusts: readonly string[]
  readonly signed_by: string
  readonly shares: string
}

/**
 * As an operator does it, and with no daemon restarted: the pids of all parts stay.
 *
 * @param isServed a gateway asks a host for something
 */
export async function changeAuthority(
  platform: Platform,
  hosts: readonly string[],
  isServed: () => Promise<void>,
) {
  const { box, world } = platform
  const shownAt = async (host: string): Promise<Shown[]> =>
    JSON.parse(await platform.godwit(host, ['host', 'certs', '--json']))
  const all = (what: string, at: string, isRight: (one: Shown) => boolean) =>
    eventually(
      `all hosts, as ${at} knows them, ${what}`,
      () => shownAt(at),
      (seen) => hosts.every((host) => seen.some((one) => one.host === host && isRight(one))),
      LONG_MS,
    )
  const step = async (name: string): Promise<string[]> => {
    const { stdout } = await run(GODWIT, ['host', 'ca', name, box.clusterFolder, '--json'])
    const { files, gateways, trusted } = JSON.parse(stdout)
    assert.deepEqual(gateways, [...GATEWAYS])
    for (const gateway of gateways) {
      for (const file of files) {
        const to = world.node(gateway).diskPath('secrets', file)
        copyFileSync(join(box.clusterFolder, gateway, 'secrets', file), `${to}.copied`)
        renameSync(`${to}.copied`, to)
      }
    }
    return trusted
  }
  const pids = async () => {
    const parts = hosts.filter((host) => host !== LATE).map((host) => box.parts(host))
    return (await Promise.all(parts)).map((of) => of.map(({ name, pid }) => `${name} ${pid}`))
  }
  const answers = () => platform.call(IAD, 'GET', '/platform/regions')

  const before = await all('say what they trust', IAD, ({ trusts }) => trusts.length === 1)
  const [former] = before[0]?.trusts ?? []
  const began = await pids()
  await world.stop(LATE, 'host')

  const [, next = ''] = await step('announce')
  const isLate = (one: Shown) => one.host === LATE
  const knows = (one: Shown) => one.trusts.join() === `${former},${next}`
  await all('but one trust both', IAD, (one) => isLate(one) !== knows(one))
  const onlyFormer = join(platform.folder, 'former-ca.pem')
  writeFileSync(onlyFormer, readFileSync(box.caFile(LATE)))
  platform.learnAuthorities()

  await step('switch')
  const asked = JSON.parse(await platform.godwit(AMS, ['host', 'renew', '--json']))
  assert.deepEqual(asked.waiting_for, [LATE], 'nobody shows what that one does not know')
  assert.equal((await answers()).status, 200)
  await box.startHost(LATE)
  await box.hostReady(LATE)
  await all('show certificates of the next one', AMS, (one) => one.signed_by === next)
  assert.equal((await answers()).status, 200)

  await step('retire')
  await all('trust the next one alone', LATE, ({ trusts }) => trusts.join() === next)
  platform.learnAuthorities()
  assert.equal((await answers()).status, 200)
  const asks = ['-sS', '--max-time', '5', '--cacert', onlyFormer, `${box.apiUrl(AMS)}/v1/x`]
  await assert.rejects(world.node('ams-client').run('curl', asks), /SSL certificate problem/)

  const renewAll = () => Promise.all(hosts.map((host) => platform.godwit(host, ['host', 'renew'])))
  await changeSharedKey(platform, { all, renewAll, isServed })
  assert.deepEqual(await pids(), began, 'no daemon was restarted')
}

interface Around {
  readonly all: (
    what: string,
    at: string,
    isRight: (one: Shown) => boolean,
  ) => Promise<readonly Shown[]>
  readonly renewAll: () => Promise<unknown>
  readonly isServed: () => Promise<void>
}

/** At the gateways alone: the hosts are told. */
async function changeSharedKey({ world }: Platform, { all, renewAll, isServed }: Around) {
  const fileOf = (host: string) => world.node(host).diskPath('secrets', 'cluster.key')
  const old = readFileSync(fileOf(AMS), 'utf8').trim()
  const next = randomBytes(32).toString('hex')
  for (const lines of [[next, old], [old, next], [next]]) {
    const text = `${lines.join('\n')}\n`
    for (const gateway of GATEWAYS) {
      writeFileSync(`${fileOf(gateway)}.new`, text, { mode: 0o600 })
      renameSync(`${fileOf(gateway)}.new`, fileOf(gateway))
    }
    await renewAll()
    assert.equal(readFileSync(fileOf(LATE), 'utf8'), text)
    const [{ shares } = { shares: '' }] = await all('share keys', IAD, (one) => one.shares !== '')
    await all('share the same keys', IAD, (one) => one.shares === shares)
    await isServed()
  }
}
