import { lastLine } from '../command.ts'
import type { Probe } from './probe.ts'

/** The kernel's WireGuard, else wireguard-go on a TUN device. */
export const wireguard: Probe = {
  name: 'WireGuard',
  required: false,
  needsRoot: true,
  deadlineMs: 15_000,
  async examine({ runInNamespaces }) {
    const inKernel = await runInNamespaces('ip link add wg0 type wireguard && wg show wg0')
    if (inKernel.exitCode === 0) return { state: 'ok', detail: 'in the kernel' }
    // Its control socket lies under /run, which is the host's: hide that behind an empty one.
    const inUserSpace = await runInNamespaces(`mount -t tmpfs tmpfs /run
      WG_PROCESS_FOREGROUND=1 LOG_LEVEL=error wireguard-go wg0 & daemon=$!
      for try in $(seq 100); do
        wg show wg0 2>/dev/null && exit 0
        kill -0 $daemon 2>/dev/null || exit 1
        sleep 0.05
      done
      exit 1`)
    if (inUserSpace.exitCode === 0) {
      return {
        state: 'degraded',
        detail: 'not in the kernel; wireguard-go works',
        consequence: 'traffic between hosts costs several times the CPU time',
        fix: "use a kernel with the wireguard module (Debian's has it)",
      }
    }
    return {
      state: 'missing',
      detail: lastLine(inUserSpace.stderr) ?? lastLine(inKernel.stderr) ?? 'no answer',
      consequence: 'hosts cannot be joined over networks that others can read',
      fix: 'modprobe wireguard, or modprobe tun for wireguard-go',
    }
  },
}
