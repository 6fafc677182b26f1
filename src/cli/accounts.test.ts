import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import type { Command } from 'commander'
import { errorCode } from '#base'
import { accountsCommand } from './accounts.ts'
import { withAccounts } from './accounts-folder.ts'
import { orgsCommand } from './orgs.ts'
import { processIo } from './token-input.ts'
import { tokensCommand } from './tokens.ts'

type Godwit = (...args: string[]) => Promise<string>

/** Commands on a folder of their own, which is removed afterwards. */
async function withFolder(work: (godwit: Godwit, folder: string) => Promise<void>) {
  const folder = join(mkdtempSync(join(tmpdir(), 'godwit-cli-')), 'accounts')
  const godwit = async (name = '', ...args: string[]) => {
    let printed = ''
    const print = (text: string) => {
      printed += text
    }
    const commands: Record<string, () => Command> = {
      accounts: () => accountsCommand(print),
      orgs: () => orgsCommand(print),
      tokens: () => tokensCommand({ ...processIo, print }),
    }
    const isOffline = args[0] === 'inspect' || args[0] === 'attenuate'
    const where = isOffline ? [] : ['--accounts', folder]
    await commands[name]?.().parseAsync([...args, ...where], { from: 'user' })
    return printed
  }
  try {
    await work(godwit, folder)
  } finally {
    rmSync(join(folder, '..'), { recursive: true })
  }
}

const code = (expected: string) => (error: unknown) => errorCode(error) === expected

test('an operator comes from nothing to a token that verifies, and revokes it', async () => {
  await withFolder(async (godwit, folder) => {
    await godwit('accounts', 'init')
    assert.equal(statSync(join(folder, 'key-ring')).mode & 0o777, 0o600)
    await godwit('orgs', 'create', 'acme', '--name', 'Acme')
    await godwit('accounts', 'apps', 'create', 'web', '--org', 'acme')
    const made = await godwit(
      'tokens',
      'create',
      'deploy',
      '--org',
      'acme',
      '--app',
      'web',
      '--json',
    )
    const { token, uuid } = JSON.parse(made)
    const access = '{"action":"w","orgid":1,"appid":1}'
    const verify = () => godwit('tokens', 'verify', token, '--access', access)
    assert.match(await verify(), /genuine\nthe access is allowed/)
    const narrow = await godwit(
      'tokens',
      'attenuate',
      token,
      '-c',
      '[{"type":"Action","body":"r"}]',
    )
    await assert.rejects(
      godwit('tokens', 'verify', narrow, '--access', access),
      code('macaroon.denied'),
    )
    assert.match(await godwit('tokens', 'list', '--org', 'acme'), new RegExp(uuid))
    await godwit('tokens', 'revoke', uuid)
    await assert.rejects(verify(), code('macaroon.unverified'))
    await assert.rejects(godwit('tokens', 'verify', narrow), code('macaroon.unverified'))
    const { damagedAt, entries } = JSON.parse(await godwit('accounts', 'audit', '--json'))
    assert.equal(damagedAt, null)
    assert.deepEqual(
      entries.map((entry: { operation: string }) => entry.operation),
      ['revokeToken', 'createToken', 'createApp', 'createOrganization'],
    )
  })
})

test('keys are rotated while tokens stay good, until theirs is retired', async () => {
  await withFolder(async (godwit) => {
    await godwit('accounts', 'init')
    await godwit('orgs', 'create', 'acme')
    const made = await godwit('tokens', 'create', 'org', '--org', 'acme', '--json')
    const { token, kid } = JSON.parse(made)
    assert.match(await godwit('accounts', 'reseal'), /^1 values/)
    await godwit('tokens', 'rotate', '--org', 'acme')
    assert.match(await godwit('tokens', 'verify', token), /genuine/)
    await godwit('tokens', 'rotate', '--org', 'acme', '--retire', kid)
    await assert.rejects(godwit('tokens', 'verify', token), code('macaroon.unverified'))
  })
})

test('what is missing is said with the command that makes it', async () => {
  await withFolder(async (godwit) => {
    await assert.rejects(godwit('orgs', 'list'), /godwit accounts init/)
    await godwit('accounts', 'init')
    await assert.rejects(godwit('accounts', 'init'), /godwit orgs list/)
    await assert.rejects(
      godwit('accounts', 'apps', 'create', 'web', '--org', 'acme'),
      /godwit orgs create/,
    )
    await godwit('orgs', 'create', 'acme')
    const deploy = ['create', 'deploy', '--org', 'acme']
    await assert.rejects(godwit('tokens', ...deploy), /--app/)
    await assert.rejects(godwit('tokens', ...deploy, '--app', 'web'), /godwit apps create/)
    await assert.rejects(godwit('tokens', 'revoke', 'nonsense'), code('accounts.bad_input'))
  })
})

test('members are added, let in by the code of their login, and taken out', async () => {
  await withFolder(async (godwit, folder) => {
    await godwit('accounts', 'init')
    await godwit('orgs', 'create', 'acme')
    const ada = 'ada@example.com'
    await godwit('orgs', 'members', 'add', ada, '--org', 'acme', '--role', 'admin')
    assert.match(await godwit('orgs', 'members', 'list', '--org', 'acme'), /ada@example.com +admin/)
    const begun = withAccounts(folder, (accounts) => accounts.beginLogin({ name: 'laptop' }))
    assert.match(await godwit('accounts', 'logins'), new RegExp(`${begun.code} +"laptop" +no`))
    await godwit('accounts', 'confirm-login', begun.code, '--email', ada)
    const redeem = () =>
      withAccounts(folder, (accounts) =>
        accounts.redeemLogin({ who: 'login', requestId: 'r' }, begun.secret),
      )
    assert.match(redeem() ?? '', /^FlyV1 fm2_/)
    assert.equal(redeem(), undefined)
    await godwit('orgs', 'members', 'remove', ada, '--org', 'acme')
    assert.deepEqual(
      JSON.parse(await godwit('orgs', 'members', 'list', '--org', 'acme', '--json')),
      [],
    )
    const confirm = godwit('accounts', 'confirm-login', begun.code, '--email', ada)
    await assert.rejects(confirm, code('accounts.not_found'))
  })
})
