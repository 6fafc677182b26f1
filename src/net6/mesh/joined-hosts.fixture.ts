/** Trial hosts with a mesh between them: the first is cabled to all others, and routes. */
import type { TestContext } from 'node:test'
import { newMachineId, seededRandom } from '#base'
import { netnsName } from '../machine/link-names.ts'
import { hostField } from '../six-pn-address.ts'
import { connect, networkedHost } from '../trial-host.fixture.ts'
import { Mesh } from './mesh.ts'

const random = seededRandom(66)

export type JoinedHost = Awaited<ReturnType<typeof joinedHost>>

async function joinedHost(t: TestContext, number: number) {
  const host = hostField(number)
  const trial = await networkedHost(t, host)
  const publicAddress = `198.51.100.${number}`
  const options = { ...trial.options, hostId: `host-${number}`, publicAddress, port: 51_820 }
  const mesh = await Mesh.open(options)
  t.after(() => mesh.close())
  const id = newMachineId(random)
  const machine = await trial.networks.make({ id, networkId: 7, kind: 'container' })
  const inside = (script: string) => trial.shell(`ip netns exec ${netnsName(id)} sh -c '${script}'`)
  return { ...trial, number, mesh, meshOptions: options, machine, inside }
}

export async function joinedHosts(t: TestContext, count: number): Promise<JoinedHost[]> {
  const hosts: JoinedHost[] = []
  for (let number = 1; number <= count; number += 1) hosts.push(await joinedHost(t, number))
  const [first, ...others] = hosts as [JoinedHost, ...JoinedHost[]]
  await first.shell(`ip address add ${first.meshOptions.publicAddress}/32 dev lo`)
  for (const other of others) {
    const name = `cable${other.number}`
    await connect(first, other, name)
    const { publicAddress } = other.meshOptions
    await other.shell(
      `ip address add ${publicAddress}/32 dev ${name}; ip route add default dev ${name} src ${publicAddress}`,
    )
    await first.shell(
      `ip route add ${publicAddress} dev ${name} src ${first.meshOptions.publicAddress}`,
    )
    await first.shell(`sysctl -q -w net.ipv4.conf.${name}.proxy_arp=1`)
    await other.shell(`sysctl -q -w net.ipv4.conf.${name}.proxy_arp=1`)
  }
  await tell(hosts)
  return hosts
}

/** Every host's row reaches every host. */
export const tell = async (hosts: readonly JoinedHost[]) => {
  const rows = hosts.map(({ mesh, meshOptions }) => ({
    id: meshOptions.hostId,
    ...mesh.ownColumns,
  }))
  for (const { mesh } of hosts) await mesh.setRows(rows)
}

export const joinedPair = async (t: TestContext) =>
  (await joinedHosts(t, 2)) as [JoinedHost, JoinedHost]
