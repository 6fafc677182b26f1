/** A WireGuard device: the kernel's, or wireguard-go's. It stands without whoever made it. */
import { errorCode } from '#base'
import type { MeshKey } from '../mesh/mesh-keys.ts'
import { type MeshDeviceState, parseDump } from '../mesh/wireguard-dump.ts'
import { deviceEntry } from '../programs/map-layout.ts'
import type { ProgramName, Programs } from '../programs/programs.ts'
import type { System } from '../system.ts'

export interface WireGuardDeviceSpec {
  readonly device: string
  readonly key: MeshKey
  readonly listenPort: number
  readonly mtuBytes: number
  /** What decides on packets that peers sent. */
  readonly ingress: ProgramName
  readonly egress: ProgramName
}

/** Makes the device, or finds it. The programs decide at it before it is up. @returns its interface index */
export async function ensureWireGuardDevice(
  system: System,
  programs: Programs,
  { device, key, listenPort, mtuBytes, ingress, egress }: WireGuardDeviceSpec,
  signal?: AbortSignal,
): Promise<number> {
  let state = await readWireGuardDevice(system, device, signal)
  if (state === undefined) {
    await addWireGuardDevice(system, device, signal)
    state = await readWireGuardDevice(system, device, signal)
  }
  if (state?.publicKey !== key.publicKey || state.listenPort !== listenPort) {
    const args = ['-ec', KEY_SCRIPT, 'sh', device, String(listenPort)]
    await system.run('sh', args, { input: `${key.privateKey}\n`, signal })
  }
  const { stdout } = await system.run('cat', [`/sys/class/net/${device}/ifindex`], { signal })
  const ifindex = Number(stdout)
  await programs.ensureCounted(ifindex, signal)
  const lines = [
    `qdisc replace dev ${device} clsact`,
    ...programs.attachLines(device, ingress, egress),
  ]
  await system.run('tc', ['-batch', '-'], { input: `${lines.join('\n')}\n`, signal })
  const up = [`link set ${device} addrgenmode none`, `link set ${device} mtu ${mtuBytes} up`]
  await system.run('ip', ['-batch', '-'], { input: `${up.join('\n')}\n`, signal })
  return ifindex
}

/** A device without key, address or programs. One of that name that does not answer is replaced. */
export async function addWireGuardDevice(
  system: System,
  device: string,
  signal?: AbortSignal,
): Promise<void> {
  await system.run('sh', ['-ec', ADD_SCRIPT, 'sh', device], { signal })
}

/** @returns undefined: there is no such device */
export async function readWireGuardDevice(
  system: System,
  device: string,
  signal?: AbortSignal,
): Promise<MeshDeviceState | undefined> {
  try {
    const { stdout } = await system.run('wg', ['show', device, 'dump'], { signal })
    return parseDump(stdout)
  } catch (error) {
    if (errorCode(error) !== 'net6.tool_failed') throw error
    return undefined // wg fails alike when there is none and when wireguard-go has died
  }
}

/** Takes the device away; wireguard-go ends with it. May run twice. */
export async function removeWireGuardDevice(
  system: System,
  programs: Programs,
  device: string,
  signal?: AbortSignal,
): Promise<void> {
  const index = ['-ec', `cat /sys/class/net/${device}/ifindex 2>/dev/null || :`]
  const { stdout } = await system.run('sh', index, { signal })
  if (stdout !== '') await programs.remove([deviceEntry(Number(stdout))], signal)
  await system.run('ip', ['link', 'delete', device], { okCodes: [0, 1], signal })
}

/** By a pipe: our standard input is a socket, which nobody can open by its name. */
const KEY_SCRIPT = 'cat | wg set "$1" private-key /dev/stdin listen-port "$2"'

/**
 * What a dead wireguard-go left is removed first. It goes to the background by itself once the device stands,
 * in a session of its own, so that nothing which ends the caller ends it.
 */
const ADD_SCRIPT = `
device=$1
ip link delete "$device" 2>/dev/null || :
ip link add "$device" type wireguard 2>/dev/null && exit
rm -f "/var/run/wireguard/$device.sock"
LOG_LEVEL=error setsid wireguard-go "$device" >/dev/null 2>&1 </dev/null
for try in $(seq 200); do
  wg show "$device" >/dev/null 2>&1 && exit
  sleep 0.02
done
echo "wireguard-go made no $device" >&2
exit 1`
