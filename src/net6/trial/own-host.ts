/** A host for whoever starts daemons in its own process or right below it: test files and benchmarks. */
import { spawnSync } from 'node:child_process'

const MARK = 'GODWIT_OWN_HOST'

/**
 * Runs this program anew, in place of itself, on a host of its own: a network and mounts that end with it. The
 * first statement of a test file, before it has made anything. Processes, files and cgroups are the machine's.
 */
export function enterOwnHost(): void {
  if (process.env[MARK] !== undefined) {
    process.once('exit', endDevices)
    return
  }
  const words = [process.execPath, ...process.execArgv, ...process.argv.slice(1)]
  const own = ['unshare', '--net', '--mount', '--propagation', 'private']
  const line = [...own, 'sh', '-ec', BOOT_SCRIPT, 'sh', ...words]
  process.execve?.('/usr/bin/unshare', line, { ...process.env, [MARK]: '1' })
}

/** A wireguard-go outlives who started it, and keeps its network alive. */
function endDevices(): void {
  const own = ['--ns', String(process.pid), '--nslist', 'net']
  spawnSync('pkill', [...own, '-KILL', '-x', 'wireguard-go'])
}

const BOOT_SCRIPT = `
umount -R -l /run/netns 2>/dev/null || :
mkdir -p /run/netns
mount -t tmpfs tmpfs /run/netns
mkdir -p /run/wireguard
mount -t tmpfs tmpfs /run/wireguard # sockets of wireguard-go, which are named after interfaces
mkdir /run/netns/cgroup
mount --rbind /sys/fs/cgroup /run/netns/cgroup
mount -t sysfs sysfs /sys # shows this network's interfaces
mount --move /run/netns/cgroup /sys/fs/cgroup
rmdir /run/netns/cgroup
mount -t bpf bpf /sys/fs/bpf
ip link set lo up
exec "$@"`
