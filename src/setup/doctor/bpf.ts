import { writeFile } from 'node:fs/promises'
import { machine } from 'node:os'
import { join } from 'node:path'
import { firstError, lastLine } from '../command.ts'
import type { Probe } from './probe.ts'

/** Passes every packet and counts it, so that a map, too, is made. */
const TRIAL_PROGRAM = `#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} packets SEC(".maps");
SEC("tc") int count(struct __sk_buff *packet) {
  __u32 key = 0;
  __u64 *seen = bpf_map_lookup_elem(&packets, &key);
  if (seen) __sync_fetch_and_add(seen, 1);
  return 0;
}
char _license[] SEC("license") = "Dual MIT/GPL";
`

/** Compiles a program, loads it and attaches it to a link, all in namespaces that end with it. */
export const bpf: Probe = {
  name: 'eBPF',
  required: false,
  needsRoot: true,
  deadlineMs: 20_000,
  async examine({ run, runInNamespaces, scratchFolder }) {
    const source = join(scratchFolder, 'count.c')
    const object = join(scratchFolder, 'count.o')
    await writeFile(source, TRIAL_PROGRAM)
    const headers = `-I/usr/include/${machine()}-linux-gnu` // Debian keeps <asm/types.h> there
    const flags = ['-target', 'bpf', '-O2', '-g', headers, '-c', source, '-o', object]
    const compiled = await run('clang', flags)
    if (compiled.exitCode !== 0) return fails(firstError(compiled.stderr) ?? 'clang failed')
    const loaded = await runInNamespaces(
      `set -e
      mkdir "$2"
      mount -t bpf bpf "$2"
      mkdir "$2/maps"
      bpftool prog load "$1" "$2/count" type classifier pinmaps "$2/maps"
      ip link add near type veth peer name far
      tc qdisc add dev near clsact
      tc filter add dev near ingress bpf direct-action object-pinned "$2/count"`,
      [object, join(scratchFolder, 'pinned')],
    )
    if (loaded.exitCode !== 0) return fails(lastLine(loaded.stderr) ?? 'bpftool failed')
    return { state: 'ok', detail: 'a program was compiled, loaded and attached to a link' }
  },
}

function fails(detail: string) {
  return {
    state: 'missing',
    detail,
    consequence: 'guests of one host are kept apart by nftables alone, which is slower',
    fix: 'npm run setup; use a kernel with CONFIG_BPF_SYSCALL and CONFIG_NET_CLS_BPF',
  } as const
}
