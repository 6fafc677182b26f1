import { lastLine } from '../command.ts'
import type { Probe } from './probe.ts'

/** Two namespaces joined by a veth pair and a bridge: what a planet is made of. */
export const namespaces: Probe = {
  name: 'network namespaces',
  required: true,
  needsRoot: true,
  deadlineMs: 10_000,
  async examine({ runInNamespaces }) {
    const { exitCode, stderr } = await runInNamespaces(`set -e
      unshare --net sleep 30 & other=$!
      until [ "$(readlink /proc/$other/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
      ip link add near type veth peer name far
      ip link set far netns $other
      ip link add hub type bridge
      ip link set near master hub
      ip link set near up
      kill $other`)
    if (exitCode === 0) return { state: 'ok', detail: 'namespaces, veth pairs and bridges work' }
    return {
      state: 'missing',
      detail: lastLine(stderr) ?? `exit code ${exitCode}`,
      consequence: 'no planet: hosts and clients of the planet are network namespaces',
      fix: 'run as root on the machine itself, or in a container with --privileged',
    }
  },
}
