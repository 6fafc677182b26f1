/** Whether gateways answer people's devices: WireGuard says so to those it knows, and they know the hosts. */
import { pollUntil } from '#base'
import type { KnownGateway } from '../gateway/known-gateways.ts'
import { isPublicKey } from '../gateway/peer-rows.ts'
import type { MeshKey } from '../mesh/mesh-keys.ts'
import type { System } from '../system.ts'
import { addWireGuardDevice, readWireGuardDevice } from '../wireguard/wireguard-device.ts'

/** Stands while gateways are tried. */
const TRIAL_DEVICE = 'gwtrial0'
/** WireGuard asks a second and a third time after 5 s each. */
const HANDSHAKE_MS_MAX = 11_000
const POLL_MS = 100

/**
 * Asks all of them for a handshake with the key by which this host is known on the mesh.
 *
 * @returns those that answered, by host
 */
export async function gatewaysThatAnswer(
  system: System,
  gateways: readonly KnownGateway[],
  key: MeshKey,
  signal?: AbortSignal,
): Promise<ReadonlySet<string>> {
  const asked = gateways.filter(
    ({ publicKey, endpoint }) => isPublicKey(publicKey) && ENDPOINT.test(endpoint),
  )
  if (asked.length === 0) return new Set()
  const heard = new Set<string>()
  try {
    await addWireGuardDevice(system, TRIAL_DEVICE, signal)
    const args = ['-ec', BEGIN_SCRIPT, 'sh', TRIAL_DEVICE]
    await system.run('sh', args, { input: `${key.privateKey}\n`, signal })
    const words = asked.flatMap(({ publicKey, endpoint }) => [
      ...['peer', publicKey, 'endpoint', endpoint, 'persistent-keepalive', '1'],
    ])
    await system.run('wg', ['set', TRIAL_DEVICE, ...words], { signal })
    const look = async () => {
      const state = await readWireGuardDevice(system, TRIAL_DEVICE, signal)
      const keys = new Set(
        (state?.peers ?? []).filter((peer) => peer.handshakeMs > 0).map((peer) => peer.publicKey),
      )
      for (const { hostId, publicKey } of asked) if (keys.has(publicKey)) heard.add(hostId)
      return heard.size === asked.length
    }
    const options = signal === undefined ? {} : { signal }
    await pollUntil('all gateways', look, {
      ...{ deadlineMs: HANDSHAKE_MS_MAX, intervalMs: POLL_MS },
      ...options,
    }).catch(() => signal?.throwIfAborted())
  } finally {
    await system.run('ip', ['link', 'delete', TRIAL_DEVICE], { okCodes: [0, 1] })
  }
  return heard
}

const ENDPOINT = /^(?:\[[0-9a-f:.]+\]|[0-9.]+):\d{1,5}$/i

const BEGIN_SCRIPT = `
cat | wg set "$1" private-key /dev/stdin
ip link set "$1" up`
