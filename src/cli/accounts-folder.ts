import { mkdirSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { Option } from 'commander'
import { type Accounts, AccountsError, type Call, openAccounts, readKeyRing } from '#accounts'
import { errorCode, systemClock, systemRandom, ulidGenerator } from '#base'
import { newKeyLine } from '#seal'

/**
 * Where an operator's commands find the accounts:
 *
 *   <folder>/accounts.db   everything, secrets sealed
 *   <folder>/key-ring      the keys that it is sealed with; back it up elsewhere
 */
export const ACCOUNTS_FOLDER = '/var/lib/godwit/accounts'

export const folderOption = () =>
  new Option('--accounts <folder>', 'where accounts.db and key-ring are')
    .env('GODWIT_ACCOUNTS')
    .default(ACCOUNTS_FOLDER)

const ringPath = (folder: string) => join(folder, 'key-ring')

/** @throws AccountsError accounts.key_file_bad: also when there is nothing yet. */
export function withAccounts<Result>(folder: string, work: (accounts: Accounts) => Result): Result {
  const ring = readKeyRing(ringPath(folder), systemRandom)
  using accounts = openAccounts({ path: join(folder, 'accounts.db'), ring })
  return work(accounts)
}

/** @throws AccountsError accounts.taken: there is a key ring already. */
export function initAccounts(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  try {
    const line = newKeyLine(newKeyName(), systemRandom)
    writeFileSync(ringPath(folder), line, { mode: 0o600, flag: 'wx' })
  } catch (cause) {
    if (errorCode(cause) !== 'EEXIST') throw cause
    throw new AccountsError('accounts.taken', {
      what: 'there are accounts in this folder already',
      values: { folder },
      fix: 'go on with: godwit orgs list',
      cause,
    })
  }
  withAccounts(folder, (accounts) => accounts.organizations())
}

/** Adds a sealing key; the next `reseal` uses it. */
export function addSealingKey(folder: string): string {
  readKeyRing(ringPath(folder), systemRandom)
  const name = newKeyName()
  writeFileSync(ringPath(folder), newKeyLine(name, systemRandom), { flag: 'a', flush: true })
  return name
}

const newUlid = ulidGenerator({ clock: systemClock, random: systemRandom })

const newKeyName = () => newUlid().toLowerCase()

/** How the audit log names who runs the command. */
export const operatorCall = (): Call => ({
  who: `cli:${userInfo().username}`,
  requestId: newUlid(),
})

export const showTime = (ms: number | undefined): string =>
  ms === undefined ? '-' : new Date(ms).toISOString()
