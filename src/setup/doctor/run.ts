import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bird } from './bird.ts'
import { bpf } from './bpf.ts'
import { cgroups } from './cgroups.ts'
import { commandRunner } from './command-runner.ts'
import { containers } from './containers.ts'
import { copyOnWrite } from './copy-on-write.ts'
import { fuse } from './fuse.ts'
import { ipv6 } from './ipv6.ts'
import { kernel } from './kernel.ts'
import { linkShaping } from './link-shaping.ts'
import { namespaces } from './namespaces.ts'
import { nats } from './nats.ts'
import { nftables } from './nftables.ts'
import { pinnedNode } from './pinned-node.ts'
import type { Finding, Probe, ProbeContext, Verdict } from './probe.ts'
import { resources } from './resources.ts'
import { thinVolumes } from './thin-volumes.ts'
import { emulation, kvm } from './virtual-machines.ts'
import { wireguard } from './wireguard.ts'

/** In the order of the report; the slow ones are started first. */
export const allProbes: readonly Probe[] = [
  ...[pinnedNode, resources, kernel, namespaces, ipv6, nftables, bird, linkShaping],
  ...[cgroups, kvm, emulation, containers, wireguard, bpf, copyOnWrite, thinVolumes, fuse, nats],
]

export interface DoctorOptions {
  /** The checkout. */
  readonly root: string
  /** Try virtual machines again, whatever the last doctor found. */
  readonly fresh: boolean
  readonly signal: AbortSignal
  readonly probes?: readonly Probe[]
}

export interface DoctorReport {
  readonly findings: readonly Finding[]
  /** Nothing that is required is missing. */
  readonly ready: boolean
}

const PROBES_AT_ONCE_MAX = 4

/**
 * Tries what this machine can do. Rejects only when `signal` aborts; probes that fail are findings.
 *
 * @throws the signal's reason.
 */
export async function runDoctor(options: DoctorOptions): Promise<DoctorReport> {
  const probes = options.probes ?? allProbes
  const scratch = await mkdtemp(join(tmpdir(), 'godwit-doctor-'))
  try {
    const findings = new Map<Probe, Finding>()
    const queue = probes.toSorted((a, b) => b.deadlineMs - a.deadlineMs)
    const worker = async (): Promise<void> => {
      for (let probe = queue.shift(); probe !== undefined; probe = queue.shift()) {
        findings.set(probe, await examine(probe, scratch, options))
      }
    }
    await Promise.all(Array.from({ length: PROBES_AT_ONCE_MAX }, worker))
    options.signal.throwIfAborted()
    const ordered = probes.map((probe) => findings.get(probe)).filter((one) => one !== undefined)
    const ready = !ordered.some(({ required, state }) => required && state === 'missing')
    return { findings: ordered, ready }
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

async function examine(probe: Probe, scratch: string, options: DoctorOptions): Promise<Finding> {
  const { name, required } = probe
  const startedMs = performance.now()
  const verdict = await judge(probe, scratch, options)
  return { name, required, ...verdict, tookMs: Math.round(performance.now() - startedMs) }
}

async function judge(probe: Probe, scratch: string, options: DoctorOptions): Promise<Verdict> {
  if (probe.needsRoot && process.getuid?.() !== 0) {
    return {
      state: 'missing',
      detail: 'not tried: this needs root',
      consequence: 'unknown',
      fix: 'sudo bin/godwit doctor',
    }
  }
  const deadline = AbortSignal.timeout(probe.deadlineMs)
  const scratchFolder = join(scratch, probe.name.replace(/[^A-Za-z0-9]+/g, '-'))
  try {
    await mkdir(scratchFolder)
    const signal = AbortSignal.any([options.signal, deadline])
    return await probe.examine(createContext(signal, scratchFolder, probe.deadlineMs, options))
  } catch (error) {
    return {
      state: 'missing',
      detail: deadline.aborted ? `no answer within ${probe.deadlineMs} ms` : messageOf(error),
      consequence: 'what needs it cannot run here',
      fix: 'npm run setup, then bin/godwit doctor again',
    }
  }
}

function createContext(
  signal: AbortSignal,
  scratchFolder: string,
  deadlineMs: number,
  { root, fresh }: DoctorOptions,
): ProbeContext {
  const run = commandRunner(signal, deadlineMs)
  const buildFolder = join(root, 'build')
  return {
    ...{ signal, scratchFolder, fresh, buildFolder, run },
    stateFolder: buildFolder,
    runInNamespaces: (script, args = []) =>
      run('unshare', [
        ...['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'],
        ...['sh', '-c', script, 'doctor', ...args],
      ]),
  }
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))
