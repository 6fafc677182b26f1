/** A host for tests: a network and a mount namespace that end with the test, and all that was made in them. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { openHostNetwork } from './host-network.ts'
import { MachineNetworks } from './machine/machine-networks.ts'
import { openSystem, type System } from './system.ts'

const BOOT_SCRIPT = `
read -r pid _ </proc/self/stat # as the world outside knows it: /proc is still the outer one
mount -t proc proc /proc
mkdir -p /run/netns
mount -t tmpfs tmpfs /run/netns
mkdir -p /run/wireguard
mount -t tmpfs tmpfs /run/wireguard # wireguard-go has its socket there, whatever the namespace
mount -t sysfs sysfs /sys
mount -t bpf bpf /sys/fs/bpf
ip link set lo up
echo $pid
exec sleep infinity`

export interface TrialHost {
  readonly system: System
  /** Of its first process. */
  readonly pid: string
  /** Gone with the test. */
  readonly folder: string
  /** Standard output of a shell script that runs on the host. */
  shell(script: string): Promise<string>
}

export async function trialHost(t: TestContext): Promise<TrialHost> {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-net6-'))
  const own = ['--mount', '--net', '--pid', '--fork', '--kill-child', '--propagation', 'private']
  const child = spawn('unshare', [...own, 'sh', '-ec', BOOT_SCRIPT], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(async () => {
    const ended = new Promise((resolve) => child.once('close', resolve))
    child.kill('SIGKILL')
    await ended
    rmSync(folder, { recursive: true })
  })
  const pid = await new Promise<string>((resolve, reject) => {
    child.stdout.once('data', (printed) => resolve(String(printed).trim()))
    child.once('error', reject)
    child.once('exit', () => reject(new Error('the trial host did not boot')))
  })
  const system = openSystem(['nsenter', '--target', pid, '--mount', '--net', '--pid', '--'])
  const shell = async (script: string) => (await system.run('sh', ['-ec', script])).stdout
  return { system, pid, folder, shell }
}

export const TRIAL_HOST = 0xa7b_0001

/** Lays a cable between two trial hosts: an interface `name` in each. */
export async function connect(a: TrialHost, b: TrialHost, name: string): Promise<void> {
  const inA = openSystem(['nsenter', '--target', a.pid, '--net', '--'])
  const add = `link add ${name} type veth peer name ${name} netns ${b.pid}`
  await inA.run('ip', add.split(' '))
  for (const host of [a, b]) await host.shell(`ip link set ${name} up`)
}

/** A trial host that is ready for machines. */
export async function networkedHost(t: TestContext, host = TRIAL_HOST) {
  const trial = await trialHost(t)
  const { system, folder } = trial
  const programs = await openHostNetwork({ system, host })
  const options = { system, programs, folder, host }
  return { ...trial, programs, options, networks: await MachineNetworks.open(options) }
}
