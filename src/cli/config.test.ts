import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { parse } from 'smol-toml'
import { configCommand } from './config.ts'

async function run(t: TestContext, toml: string, args: readonly string[]) {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-config-'))
  t.after(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'fly.toml'), toml)
  writeFileSync(join(folder, 'motd'), 'welcome')
  let printed = ''
  const command = configCommand((text) => {
    printed += text
  })
  const exitCode = process.exitCode
  try {
    await command.parseAsync([...args, '--config', folder], { from: 'user' })
    return { printed, failed: process.exitCode === 1 }
  } finally {
    process.exitCode = exitCode
  }
}

const APP =
  'app = "heron"\n[env]\nPORT = 8080\n[[files]]\nguest_path = "/etc/motd"\nlocal_path = "motd"\n'

test('validate says what is wrong and fails; with --strict an unknown key fails too', async (t) => {
  const good = await run(t, APP, ['validate'])
  assert.match(good.printed, /fly\.toml is valid \(app heron\)\n$/)
  assert.equal(good.failed, false)
  const typo = `${APP}[deploy]\nstrategi = "canary"\n`
  const lenient = await run(t, typo, ['validate'])
  assert.match(
    lenient.printed,
    /^warning: .*fly\.toml:8: deploy\.strategi: unknown key; did you mean/,
  )
  assert.equal(lenient.failed, false)
  assert.equal((await run(t, typo, ['validate', '--strict'])).failed, true)
  const bad = await run(t, '[[vm]]\ncpus = 5\n', ['validate', '--json'])
  assert.equal(bad.failed, true)
  const { valid, problems } = JSON.parse(bad.printed)
  assert.equal(valid, false)
  assert.equal(problems[0].line, 2)
})

test('show prints the canonical form as JSON, TOML or YAML, or what it means for a group', async (t) => {
  const json = JSON.parse((await run(t, APP, ['show'])).printed)
  assert.deepEqual(json.env, { PORT: '8080' })
  const toml = (await run(t, APP, ['show', '--toml'])).printed
  assert.equal(JSON.stringify(parse(toml)), JSON.stringify(json))
  assert.match((await run(t, APP, ['show', '--yaml'])).printed, /PORT: "8080"/)
  const group = JSON.parse((await run(t, APP, ['show', '--group', 'app'])).printed)
  assert.deepEqual(group.files, [{ guest_path: '/etc/motd', raw_value: 'd2VsY29tZQ==' }])
})

test('env prints what [env] sets', async (t) => {
  assert.equal((await run(t, APP, ['env'])).printed, 'NAME  VALUE\nPORT  8080\n')
  assert.deepEqual(JSON.parse((await run(t, APP, ['env', '--json'])).printed), { PORT: '8080' })
})

test('a file that is not there is named', async (t) => {
  const missing = APP.replace('"motd"', '"nope"')
  await assert.rejects(run(t, missing, ['show', '--group', 'app']), {
    code: 'app_config.unreadable',
    message: /nope/,
  })
})
