import type { Probe, Verdict } from './probe.ts'

const disciplines = [
  'clsact',
  'htb',
  'tbf rate 8mbit burst 32k latency 50ms',
  'netem delay 1ms',
  'fq',
]

/** Queueing disciplines for delay, rate and pacing, and the TUN device that can replace netem. */
export const linkShaping: Probe = {
  name: 'link shaping',
  required: true,
  needsRoot: true,
  deadlineMs: 10_000,
  async examine({ runInNamespaces }) {
    const { stdout } = await runInNamespaces(`
      ip tuntap add name tun0 mode tun 2>&1 && echo works tun
      ip link add near type veth peer name far
      for kind in ${disciplines.map((one) => `'${one}'`).join(' ')}; do
        parent=root; [ "$kind" = clsact ] && parent=
        tc qdisc replace dev near $parent $kind 2>/dev/null && echo works $kind
      done`)
    const works = new Set([...stdout.matchAll(/^works (\w+)/gm)].map((match) => match[1] ?? ''))
    return judgeShaping(works)
  },
}

/** @param works names of the disciplines that could be attached, and `tun`. */
export function judgeShaping(works: ReadonlySet<string>): Verdict {
  const wanted = ['tun', ...disciplines.map((one) => one.split(' ')[0] ?? '')]
  const absent = wanted.filter((kind) => !works.has(kind))
  if (absent.length === 0) return { state: 'ok', detail: `${wanted.join(', ')} work` }
  const detail = `absent: ${absent.join(', ')}`
  if (!works.has('tun')) {
    return {
      state: 'missing',
      detail,
      consequence: 'no distance between regions, and no WireGuard in user space',
      fix: 'modprobe tun; in a container: --device /dev/net/tun',
    }
  }
  return {
    state: 'degraded',
    detail,
    consequence: works.has('netem')
      ? 'pacing and rates are coarser'
      : 'the planet delays packets in TUN links of its own, which costs CPU time',
    fix: `use a kernel with ${absent.map((kind) => `sch_${kind === 'clsact' ? 'ingress' : kind}`).join(', ')} (Debian's has them)`,
  }
}
