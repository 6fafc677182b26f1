import { lastLine } from '../command.ts'
import type { Probe } from './probe.ts'

export const ipv6: Probe = {
  name: 'IPv6',
  required: true,
  needsRoot: true,
  deadlineMs: 5_000,
  async examine({ runInNamespaces }) {
    // In a new namespace only the kernel's own switch (ipv6.disable=1) can stand in the way.
    const { exitCode, stderr } = await runInNamespaces(`set -e
      ip link set lo up
      sysctl -qw net.ipv6.conf.all.disable_ipv6=0
      ip -6 address add fdaa::1/64 dev lo nodad
      ip -6 route get fdaa::1 >/dev/null`)
    if (exitCode === 0) return { state: 'ok', detail: 'addresses and routes work in a namespace' }
    return {
      state: 'missing',
      detail: lastLine(stderr) ?? `exit code ${exitCode}`,
      consequence: 'no private network: apps reach each other over IPv6 only',
      fix: 'boot without ipv6.disable=1',
    }
  },
}
