import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { systemRandom } from '#base'
import { newKeyLine } from '#seal'
import { KeyRing } from './key-ring.ts'
import { openAccounts } from './open-accounts.ts'

const KILLS = 4

test('kill -9 in the middle of writes leaves each write whole, with its entry in the log', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-accounts-'))
  const [path, ringPath] = [join(folder, 'accounts.db'), join(folder, 'key-ring')]
  const line = newKeyLine('one', systemRandom)
  writeFileSync(ringPath, line, { mode: 0o600 })
  const open = () => openAccounts({ path, ring: new KeyRing(line, systemRandom) })
  const call = { who: 'test', requestId: 'r' }
  try {
    const before = open()
    before.createOrganization(call, { slug: 'acme' })
    before.createApp(call, { organization: 'acme', app: 'web' })
    before[Symbol.dispose]()
    for (let kill = 0; kill < KILLS; kill += 1) {
      await killWriter(path, ringPath)
      using accounts = open()
      const { version } = accounts.secrets('web')
      const keys = accounts.rootKeys('acme')
      const opened = accounts.openSecrets(call, { app: 'web', host: 'h' })
      const entries = accounts.audit({ who: 'writer', limit: 1_000 })
      const count = (name: string) => entries.filter(({ operation }) => operation === name).length
      assert.equal(opened.get('A'), opened.get('B'))
      if (entries.length < 1_000) {
        assert.deepEqual([count('setSecrets'), count('addRootKey')], [version, keys.length])
      }
      assert.ok(keys.every(({ kid }) => accounts.rootKeySecret(Buffer.from(kid, 'hex'))))
      assert.equal(accounts.auditDamage(), undefined)
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
})

/** Lets the writer write for a little, then kills it wherever it is. */
async function killWriter(path: string, ringPath: string): Promise<void> {
  const program = join(import.meta.dirname, 'secret-writer.fixture.ts')
  const writer = spawn(process.execPath, [program, path, ringPath], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(writer, 'exit')
  await once(writer.stdout, 'data', { signal: AbortSignal.timeout(15_000) })
  writer.kill('SIGKILL')
  await exited
}
