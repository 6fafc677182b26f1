import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { parseJoinToken } from '#host'
import { initAccounts, withAccounts } from './accounts-folder.ts'
import { hostCommand } from './host.ts'

const plan = (accounts: string) => `
[[hosts]]
host = "ams-1"
address = "192.0.2.1"
roles = ["worker", "gateway", "nats"]
settings = { gateway = { accounts = "${accounts}" } }
[hosts.region]
code = "ams"
[[hosts]]
host = "nrt-1"
address = "192.0.2.2"
roles = ["worker"]
[hosts.region]
code = "nrt"
`

/** A gateway's files, and the command as it is called there. */
async function gateway(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-host-join-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const accounts = join(folder, 'accounts')
  initAccounts(accounts)
  writeFileSync(join(folder, 'cluster.toml'), plan(accounts))
  const run = async (...words: string[]) => {
    let printed = ''
    const command = hostCommand((text) => {
      printed += text
    })
    await command.parseAsync(words, { from: 'user' })
    return printed
  }
  await run('found', join(folder, 'cluster.toml'), '--out', join(folder, 'cluster'))
  const cluster = join(folder, 'cluster')
  const config = (host: string) => join(folder, `${host}.toml`)
  for (const host of ['ams-1', 'nrt-1']) {
    const secrets = join(cluster, host, 'secrets')
    const text = `secrets = "${secrets}"\n`
    writeFileSync(config(host), text + readFileSync(join(cluster, host, 'host.toml'), 'utf8'))
  }
  const secretsOf = (host: string) => join(cluster, host, 'secrets')
  return { accounts, run, secretsOf, at: (host: string) => ['--config', config(host)] }
}

test('an operator makes a token, sees what became of it, and takes it back', async (t) => {
  const { accounts, run, at } = await gateway(t)
  const create = ['token', 'create', '--role', 'worker', '--region', 'nrt', ...at('ams-1')]
  const shown = await run(...create, '--ttl', '30m')
  const [first = ''] = shown.split('\n')
  const { id, secret } = parseJoinToken(first)
  assert.match(shown, /next, on the server: .*godwit host join https:\/\/192\.0\.2\.1:4280\n/)
  assert(withAccounts(accounts, (open) => open.joinToken(id, secret)) !== undefined)
  const made = JSON.parse(await run(...create, '--json', '--role', 'edge', '--uses', '3'))
  assert.deepEqual(
    [made.roles, made.usesMax, made.url],
    [['worker', 'edge'], 3, 'https://192.0.2.1:4280'],
  )
  assert.equal(made.secret, undefined)
  assert.match(await run('token', 'revoke', id, ...at('ams-1')), /is revoked/)
  const list = await run('token', 'list', ...at('ams-1'))
  assert.match(list, new RegExp(`^${id} .* 0/1 +revoked `, 'm'))
  assert.match(list, new RegExp(`^${made.id} .* 0/3 +good `, 'm'))
  assert(!list.includes(secret))
})

test('what cannot be is refused with what to do', async (t) => {
  const { run, at, secretsOf } = await gateway(t)
  const create = (...words: string[]) => run('token', 'create', '--region', 'nrt', ...words)
  const isBad = { code: 'accounts.bad_input' }
  await assert.rejects(create('--role', 'gateway', ...at('ams-1')), isBad)
  await assert.rejects(create('--role', 'worker', '--replace', ...at('ams-1')), isBad)
  await assert.rejects(create('--role', 'worker', '--ttl', '30d', ...at('ams-1')), isBad)
  const notHere = { code: 'host.join_refused', message: /no gateway/ }
  await assert.rejects(create('--role', 'worker', ...at('nrt-1')), notHere)
  rmSync(join(secretsOf('ams-1'), 'joining.key'))
  await assert.rejects(create('--role', 'worker', ...at('ams-1')), {
    code: 'host.join_refused',
    message: /no key to sign.*docs\/operate\.md/,
  })
  for (const url of ['http://192.0.2.1:4280', 'ams-1', 'https://']) {
    await assert.rejects(run('join', url, '--token', 'x'), { code: 'host.join_refused' }, url)
  }
  await assert.rejects(
    run('join', 'https://127.0.0.1:1', '--token', 'x', '--folder', '/nonexistent'),
    {
      code: 'host.join_refused',
      message: /no token for joining/,
    },
  )
})
