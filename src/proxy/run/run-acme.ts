import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { errorCode, type Log, systemClock, systemRandom } from '#base'
import { acmeAuthority } from '../certificates/acme-authority.ts'
import { CertificateKeeper } from '../certificates/certificate-keeper.ts'
import { CertificateOrders, type DnsHook } from '../certificates/certificate-orders.ts'
import { corrosionCertificateRows } from '../certificates/corrosion-certificate-rows.ts'
import type { EdgeKeyRing } from '../certificates/edge-key-ring.ts'
import { makePrivateKey } from '../certificates/issue-certificate.ts'
import { OrderRecords } from '../certificates/order-records.ts'
import type { RoutingTable } from '../routing-table/routing-table.ts'
import type { RoutingConfig } from './static-config.ts'

const HOOK_MS_MAX = 120_000

export interface AcmeOptions {
  readonly config: RoutingConfig
  readonly table: RoutingTable
  readonly keys: EdgeKeyRing
  readonly log: Log
}

/**
 * Orders and renews the certificates that fall to this host, where the configuration names an authority.
 * @throws what the system says of the folder
 */
export async function openAcme({
  config,
  table,
  keys,
  log,
}: AcmeOptions): Promise<AsyncDisposable> {
  const { acme, corrosion, host: ownHostId } = config
  if (acme === undefined) return { [Symbol.asyncDispose]: () => Promise.resolve() }
  const folder = join(config.folder, 'acme')
  const accountKey = await accountKeyIn(folder)
  const { directory_url: directoryUrl, email, dns_hook: hook } = acme
  const rows = corrosionCertificateRows({ url: corrosion.url, bearerToken: corrosion.token })
  const [clock, random, stop] = [systemClock, systemRandom, new AbortController()]
  const orders = new CertificateOrders({
    ...{ ownHostId, rows, keys, clock, random, log },
    authority: acmeAuthority({ directoryUrl, accountKey, email }),
    records: new OrderRecords(join(folder, 'orders'), keys),
    dns: hook === undefined ? undefined : dnsHook(hook),
  })
  const { signal } = stop
  const running = new CertificateKeeper({ table, orders, rows, clock, log, signal }).run()
  return {
    async [Symbol.asyncDispose]() {
      stop.abort()
      await running
    },
  }
}

/** The account of this host: made once, for it is what the authority knows it by. */
async function accountKeyIn(folder: string): Promise<string> {
  const path = join(folder, 'account.pem')
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error
    const key = await makePrivateKey()
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    writeFileSync(`${path}.new`, key, { mode: 0o600 })
    renameSync(`${path}.new`, path)
    return key
  }
}

/** A program of the operator's: `PROGRAM present|remove NAME VALUE`. */
function dnsHook(program: string): DnsHook {
  const run = promisify(execFile)
  const call = async (verb: string, name: string, value: string) => {
    await run(program, [verb, name, value], { timeout: HOOK_MS_MAX })
  }
  return {
    present: (name, value) => call('present', name, value),
    remove: (name, value) => call('remove', name, value),
  }
}
