/** Somebody's computer, cabled to a trial host, with WireGuard of its own. */
import type { TestContext } from 'node:test'
import { generateMeshKey, type MeshKey } from '../mesh/mesh-keys.ts'
import { networkPlatformAddress, networkPrefix, parseSixPn } from '../six-pn-address.ts'
import { connect, type TrialHost, trialHost } from '../trial-host.fixture.ts'

export interface Person extends TrialHost {
  readonly key: MeshKey
  /** Brings WireGuard up as the printed configuration says. @param endpoint `ip:port` */
  joins(peerIp: string, gatewayKey: string, endpoint: string): Promise<void>
  pings(to: string, options?: string): Promise<boolean>
}

/** @param number of the cable: 1 to 200 */
export async function person(t: TestContext, at: TrialHost, number: number): Promise<Person> {
  const trial = await trialHost(t)
  const cable = `person${number}`
  await connect(at, trial, cable)
  await at.shell(`ip address add 192.0.2.${number}/32 peer 192.0.2.${number + 20}/32 dev ${cable}`)
  await trial.shell(
    `ip address add 192.0.2.${number + 20}/32 peer 192.0.2.${number}/32 dev ${cable}`,
  )
  const key = generateMeshKey()
  return {
    ...trial,
    key,
    async joins(peerIp, gatewayKey, endpoint) {
      const { network } = parseSixPn(peerIp)
      await trial.system.run(
        'sh',
        ['-ec', JOIN_SCRIPT, 'sh', peerIp, gatewayKey, endpoint, networkPrefix(network)],
        {
          input: key.privateKey,
        },
      )
    },
    async pings(to, options = '') {
      const printed = await trial.shell(`ping -c 1 -W 2 ${options} ${to} || true`)
      return printed.includes(' 1 received')
    },
  }
}

/** What the platform answers at, for a peer. */
export const platformOf = (peerIp: string): string =>
  networkPlatformAddress(parseSixPn(peerIp).network)

const JOIN_SCRIPT = `
ip link add wg0 type wireguard 2>/dev/null ||
  LOG_LEVEL=error setsid wireguard-go wg0 >/dev/null 2>&1 </dev/null
for try in $(seq 200); do
  wg show wg0 >/dev/null 2>&1 && break
  sleep 0.02
done
cat | wg set wg0 private-key /dev/stdin peer "$2" endpoint "$3" allowed-ips "$4" persistent-keepalive 15
ip address replace "$1/120" dev wg0 nodad
ip link set wg0 mtu 1420 up
ip route replace "$4" dev wg0`
