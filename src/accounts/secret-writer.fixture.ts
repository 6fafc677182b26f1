import { readFileSync } from 'node:fs'
import { systemRandom } from '#base'
import { KeyRing } from './key-ring.ts'
import { openAccounts } from './open-accounts.ts'

/** Sets two secrets and adds a root key, over and over, until it is killed: crash.test.ts. */
const [path = '', ringPath = ''] = process.argv.slice(2)
const ring = new KeyRing(readFileSync(ringPath, 'utf8'), systemRandom)
const accounts = openAccounts({ path, ring })
const call = { who: 'writer', requestId: 'r' }
for (let turn = 0; ; turn += 1) {
  const value = String(turn)
  accounts.setSecrets(call, { app: 'web', values: { A: value, B: value } })
  accounts.addRootKey(call, { organization: 'acme' })
  if (turn % 10 === 0) process.stdout.write('.')
}
