import { lastLine } from '../command.ts'
import type { Probe } from './probe.ts'

/** Starts the server on a loopback of its own, so that no port of this machine is touched. */
export const nats: Probe = {
  name: 'NATS',
  required: false,
  needsRoot: true,
  deadlineMs: 15_000,
  async examine({ runInNamespaces }) {
    const { stdout, stderr } = await runInNamespaces(`ip link set lo up
      nats-server --addr 127.0.0.1 --port 4222 >/dev/null & daemon=$!
      for try in $(seq 100); do
        busybox timeout 1 busybox nc 127.0.0.1 4222 </dev/null 2>/dev/null | grep INFO && exit 0
        kill -0 $daemon 2>/dev/null || exit 1
        sleep 0.05
      done
      exit 1`)
    const version = /"version":"([^"]+)"/.exec(stdout)?.[1]
    if (version !== undefined) return { state: 'ok', detail: `nats-server ${version} answers` }
    return {
      state: 'missing',
      detail: lastLine(stderr) ?? 'no answer',
      consequence: 'no new machine can be placed, and logs do not flow; machines that run go on',
      fix: 'npm run setup',
    }
  },
}
