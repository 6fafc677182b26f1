/**
 * The resolver of the benchmark, as a process of its own: `serve.ts APPS PORT` serves that many apps with one machine
 * each, until it is killed. Asks from loopback count as asked from a machine of their network.
 */
import { systemClock } from '#base'
import { ClientLimits, Directory, InternalZone, listenUdp, resolver } from '#dns'
import { addressOf, appOf, NETWORK_ID, ORG_ID, SOURCE } from './records.ts'

const [count, port] = process.argv.slice(2).map(Number)
const directory = new Directory()
for (let at = 0; at < (count ?? 0); at += 1) {
  const id = `app${at}`
  const own = { orgId: ORG_ID, networkId: NETWORK_ID }
  directory.apply({ table: 'apps', key: id, row: { id, name: appOf(at), ...own } })
  const machine = {
    ...own,
    id: `m${at}`,
    appId: id,
    hostId: 'h',
    region: 'ams',
    state: 'started',
    processGroup: 'app',
    privateIp: addressOf(at),
    metadata: {},
    isRegistered: true,
    isCordoned: false,
  }
  directory.apply({ table: 'machines', key: machine.id, row: machine })
}
const handle = resolver({
  zone: new InternalZone(directory, { hostId: 'h', region: 'ams' }),
  callerOf: () => directory.callerOfSource(SOURCE),
})
const limits = new ClientLimits({ questionsPerSecond: 1e9, clock: systemClock })
await listenUdp({ address: '127.0.0.1', port: port ?? 0 }, handle, { limits })
