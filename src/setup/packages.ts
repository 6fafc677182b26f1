import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'

/** The machines that Godwit runs on, as `uname -m` names them. */
export type Architecture = 'x86_64' | 'aarch64'

/** A Debian package that this code base calls, and how to see that it is there. */
export interface AptPackage {
  readonly name: string
  /** What the project does with it: shown to whoever is asked to install it. */
  readonly why: string
  /** A command's name, or the absolute path of a file. */
  readonly proof: string
  /** Daemons that its installation would start and enable. Set-up keeps them off. */
  readonly services?: readonly string[]
}

/** Debian's names for the architecture. */
export const debianNames = {
  x86_64: { architecture: 'amd64', qemu: 'qemu-system-x86', qemuCommand: 'qemu-system-x86_64' },
  aarch64: { architecture: 'arm64', qemu: 'qemu-system-arm', qemuCommand: 'qemu-system-aarch64' },
} as const satisfies Record<Architecture, object>

/** Everything that must be installed, no more than the code calls. */
// biome-ignore format: a table
export function neededPackages(architecture: Architecture): readonly AptPackage[] {
  const { qemu, qemuCommand } = debianNames[architecture]
  return [
    { name: 'bird2',           proof: 'bird',       why: 'routes the planet\'s internet and announces anycast addresses', services: ['bird'] },
    { name: 'iproute2',        proof: 'ip',         why: 'makes network namespaces, links and routes' },
    { name: 'nftables',        proof: 'nft',        why: 'filters and redirects packets inside namespaces' },
    { name: 'tini',            proof: 'tini',       why: 'reaps the processes of a planet\'s host' },
    { name: 'util-linux',      proof: 'unshare',    why: 'namespaces, mounts and locks' },
    { name: 'procps',          proof: 'sysctl',     why: 'kernel settings inside a namespace' },
    { name: 'curl',            proof: 'curl',       why: 'the planet\'s clients and health checks' },
    { name: 'git',             proof: 'git',        why: 'lists the source files for npm run check' },
    { name: 'busybox-static',  proof: 'busybox',    why: 'user space of the trial guest and the trial container' },
    { name: qemu,              proof: qemuCommand,  why: 'runs machines as microVMs where Firecracker cannot' },
    { name: 'runc',            proof: 'runc',       why: 'runs machines as containers on servers without KVM' },
    { name: 'nats-server',     proof: 'nats-server', why: 'carries capacity queries and logs between hosts', services: ['nats-server'] },
    { name: 'wireguard-tools', proof: 'wg',         why: 'configures the encrypted mesh between hosts' },
    { name: 'wireguard-go',    proof: 'wireguard-go', why: 'WireGuard where the kernel has none' },
    { name: 'xfsprogs',        proof: 'mkfs.xfs',   why: 'copy-on-write volumes where the file system has no reflinks' },
    { name: 'bpftool',         proof: 'bpftool',    why: 'loads the eBPF programs that keep guests apart' },
    { name: 'clang',           proof: 'clang',      why: 'compiles those eBPF programs' },
    { name: 'libbpf-dev',      proof: '/usr/include/bpf/bpf_helpers.h', why: 'headers of those eBPF programs' },
  ]
}

/** An unprivileged user's PATH often lacks the sbin folders, where half of the above lives. */
const extraFolders = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/local/bin', '/usr/bin', '/bin']

/** The absolute path of a command; undefined when it is nowhere. */
export function findCommand(command: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(':').filter(Boolean), ...extraFolders]
  return folders
    .map((folder) => join(folder, command))
    .find((path) => isThere(path, constants.X_OK))
}

/** Where a package's proof is on this machine; undefined when it is missing. */
export function findProof({ proof }: AptPackage): string | undefined {
  if (!proof.startsWith('/')) return findCommand(proof)
  return isThere(proof, constants.R_OK) ? proof : undefined
}

function isThere(path: string, mode: number): boolean {
  try {
    accessSync(path, mode)
    return true
  } catch {
    return false // whatever the reason, we cannot use it
  }
}
