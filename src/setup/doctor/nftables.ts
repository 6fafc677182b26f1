import { firstError } from '../command.ts'
import type { Probe } from './probe.ts'

export const nftables: Probe = {
  name: 'nftables',
  required: true,
  needsRoot: true,
  deadlineMs: 5_000,
  async examine({ runInNamespaces, run }) {
    const { exitCode, stderr } = await runInNamespaces(`nft -f - <<'RULES'
table inet doctor {
  chain filter { type filter hook input priority 0; tcp dport 1 ct state new accept; }
  chain divert { type nat hook prerouting priority -100; tcp dport 1 redirect to :2; }
}
RULES`)
    const version = (await run('nft', ['--version'])).stdout.trim()
    if (exitCode === 0) return { state: 'ok', detail: `${version}: filter and redirect work` }
    return {
      state: 'missing',
      detail: firstError(stderr) ?? `exit code ${exitCode}`,
      consequence: 'hosts cannot filter or redirect packets, so no planet',
      fix: 'use a kernel with nf_tables, nft_ct, nft_nat and nft_redir',
    }
  },
}
