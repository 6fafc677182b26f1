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
/** Its supervisor hears nothing when the next CA is announced. */
const LATE = 'nrt-1'

const SHOWN = 'SELECT host_id, trusts, signed_by, shares FROM host_certificates'

interface Shown {
  readonly host: string
  readonly trusts: readonly string[]
  readonly signedBy: string
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
  /** By one request, which costs less than to start the command line each time. */
  const shownAt = async (host: string): Promise<Shown[]> => {
    const json = ['-H', 'content-type: application/json']
    const asks = ['-sS', ...json, '-d', JSON.stringify(SHOWN), 'http://127.0.0.1:8080/v1/queries']
    const lines = (await world.node(host).run('curl', asks)).trim().split('\n')
    return lines.flatMap((line) => {
      const [host, trusts, signedBy, shares] = JSON.parse(line).row?.[1] ?? []
      return host === undefined ? [] : [{ host, trusts: JSON.parse(trusts), signedBy, shares }]
    })
  }
  /** Waits until it holds for the rows of all hosts together. */
  const told: Told = (what, at, isRight) =>
    eventually(
      `${what}, as ${at} knows it`,
      async () => (await shownAt(at)).filter(({ host }) => hosts.includes(host)),
      (seen) => seen.length === hosts.length && isRight(seen),
      LONG_MS,
    )
  const all = (what: string, at: string, isRight: (one: Shown) => boolean) =>
    told(`all hosts ${what}`, at, (seen) => seen.every(isRight))
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
    const parts = await Promise.all(hosts.map((host) => box.parts(host)))
    return parts.map((of) => of.map(({ name, pid }) => `${name} ${pid}`))
  }
  const supervisor = world.commands(LATE).find(({ name }) => name === 'host')?.leader.pid ?? 0
  assert(supervisor > 1)
  const answers = () => platform.call(IAD, 'GET', '/platform/regions')

  const before = await all('say what they trust', IAD, ({ trusts }) => trusts.length === 1)
  const [former] = before[0]?.trusts ?? []
  const began = await pids()
  process.kill(-supervisor, 'SIGSTOP')

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
  process.kill(-supervisor, 'SIGCONT')
  await all('show certificates of the next one', AMS, (one) => one.signedBy === next)
  assert.equal((await answers()).status, 200)

  await step('retire')
  await all('trust the next one alone', LATE, ({ trusts }) => trusts.join() === next)
  platform.learnAuthorities()
  assert.equal((await answers()).status, 200)
  const printed: { trusts: string[] }[] = JSON.parse(
    await platform.godwit(LATE, ['host', 'certs', '--json']),
  )
  assert.deepEqual([...new Set(printed.flatMap(({ trusts }) => trusts))], [next])
  const asks = ['-sS', '--max-time', '5', '--cacert', onlyFormer, `${box.apiUrl(AMS)}/v1/x`]
  await assert.rejects(world.node('ams-client').run('curl', asks), /SSL certificate problem/)

  await changeSharedKey(platform, told, isServed)
  assert.deepEqual(await pids(), began, 'no daemon was restarted')
}

type Told = (
  what: string,
  at: string,
  isRight: (rows: readonly Shown[]) => boolean,
) => Promise<readonly Shown[]>

/** At the gateways alone: the hosts are told. */
async function changeSharedKey({ world }: Platform, told: Told, isServed: () => Promise<void>) {
  const fileOf = (host: string) => world.node(host).diskPath('secrets', 'cluster.key')
  const old = readFileSync(fileOf(AMS), 'utf8').trim()
  const next = randomBytes(32).toString('hex')
  let before = (await told('keys are shared', IAD, () => true))[0]?.shares
  for (const lines of [[next, old], [old, next], [next]]) {
    const text = `${lines.join('\n')}\n`
    for (const gateway of GATEWAYS) {
      writeFileSync(`${fileOf(gateway)}.new`, text, { mode: 0o600 })
      renameSync(`${fileOf(gateway)}.new`, fileOf(gateway))
    }
    const areNew = (rows: readonly Shown[]) =>
      rows.every(({ shares }) => shares === rows[0]?.shares && shares !== before)
    before = (await told('other keys are shared', IAD, areNew))[0]?.shares
    assert.equal(readFileSync(fileOf(LATE), 'utf8'), text)
    await isServed()
  }
}
