/**
 * Where the host answers port 22 of its machines' 6PN addresses: a namespace of its own, so that the host's own sshd is
 * not in the way, in which every address counts as local. The programs take packets there and back (native/bpf/ssh.h):
 *
 *   [netns godwit-ssh: up0] ------ gwssh0
 *
 * It stands without any daemon; who listens in it is asked (ssh-listener.ts).
 */
import { dirname } from 'node:path'
import { GATEWAY_MAC, NETNS_FOLDER } from '../machine/link-names.ts'
import { MTU_BYTES } from '../machine/machine-networks.ts'
import type { Entry } from '../programs/map-layout.ts'
import { sshEndEntry, sshServiceEntry } from '../programs/map-layout.ts'
import type { Programs } from '../programs/programs.ts'
import type { System } from '../system.ts'

const SSH_DEVICE = 'gwssh0'
const SSH_NETNS = 'godwit-ssh'
export const SSH_NETNS_PATH = `${NETNS_FOLDER}/${SSH_NETNS}`
/** Of the end in the namespace. */
const SSH_MAC = '02:67:77:00:00:16'
/** Of the routes of what comes in, as against what is answered. */
const LOCAL_TABLE = 22

/**
 * Makes it, or finds it; may run twice, by two daemons at a time. Nothing goes there before the entry that is returned
 * stands in the map of services.
 */
export async function ensureSshEnd(
  system: System,
  programs: Programs,
  signal?: AbortSignal,
): Promise<Entry> {
  const lock = dirname(programs.mapPath('services'))
  const args = ['-ec', MAKE_SCRIPT, 'sh', lock, String(MTU_BYTES)]
  const { stdout } = await system.run('sh', args, { signal })
  const ifindex = Number(stdout)
  await programs.ensureCounted(ifindex, signal)
  await programs.set([sshEndEntry(ifindex, { mac: SSH_MAC, gatewayMac: GATEWAY_MAC })], signal)
  const lines = [
    `qdisc replace dev ${SSH_DEVICE} clsact`,
    ...programs.attachLines(SSH_DEVICE, 'from_ssh'),
  ]
  await system.run('tc', ['-batch', '-'], { input: `${lines.join('\n')}\n`, signal })
  await system.run('ip', ['link', 'set', SSH_DEVICE, 'up'], { signal })
  return sshServiceEntry(ifindex)
}

/** May run twice. */
export async function removeSshEnd(system: System): Promise<void> {
  await system.run('sh', ['-ec', REMOVE_SCRIPT])
}

const NAMES = `netns=${SSH_NETNS} device=${SSH_DEVICE}`

const REMOVE_SCRIPT = `
${NAMES}
ip link delete $device 2>/dev/null || :
ip netns delete $netns 2>/dev/null || :`

/**
 * The rule is the last that is made: with it all is there. Answers leave by the route of table main, which what came in never
 * sees. The lock is not the folder of namespaces: ip locks that itself.
 */
const MAKE_SCRIPT = `
${NAMES} lock=$1 mtu=$2
exec 9<"$lock"
flock 9
isWhole() {
  [ -e /sys/class/net/$device ] && [ -e ${NETNS_FOLDER}/$netns ] &&
    ip -n $netns -6 rule show 2>/dev/null | grep -q 'iif up0'
}
if ! isWhole; then
  ip link delete $device 2>/dev/null || :
  ip netns delete $netns 2>/dev/null || :
  ip netns add $netns
  ip link add $device address ${GATEWAY_MAC} mtu $mtu type veth \\
    peer name up0 address ${SSH_MAC} mtu $mtu netns $netns
  ip link set $device addrgenmode none
  ip -n $netns -6 -batch - <<'LINES'
link set lo up
link set up0 addrgenmode none
link set up0 up
neighbour replace fe80::1 lladdr ${GATEWAY_MAC} dev up0 nud permanent
route replace default via fe80::1 dev up0 onlink
route replace local default dev lo table ${LOCAL_TABLE}
rule add iif up0 lookup ${LOCAL_TABLE} pref ${LOCAL_TABLE}
LINES
fi
cat /sys/class/net/$device/ifindex`
