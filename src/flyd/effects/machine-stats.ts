import type { Readable } from 'node:stream'
import { startDeadline, unlessAborted } from '#base'
import { type Agent, baselineOf, type Guest, type RuntimeKind } from '#guest'
import type { Figure } from '#observe'
import type { GuestSession } from './guest-session.ts'
import {
  cpuFigures,
  diskFigures,
  fileFigures,
  gauge,
  loadFigures,
  memoryFigures,
  netFigures,
} from './proc-figures.ts'

const MIB = 2 ** 20
/** Of one file in /proc: a guest may send what it likes. */
const FILE_BYTES_MAX = 128 * 1024
/** What blocks are told in: init tells bytes. */
const BLOCK_BYTES = 4096
/** A hundredth of a second. */
const CENTISECOND_NS = 10_000_000

/**
 * What a machine that runs says of itself, without what names it. A virtual machine has a kernel of its own, whose /proc
 * says it. A container's /proc says most of it of the host: there its control group is asked, and load, disks and open
 * files are left out.
 *
 * @throws AgentError, GuestError
 */
export async function readStats(
  session: GuestSession,
  kind: RuntimeKind,
  signal: AbortSignal,
): Promise<readonly Figure[]> {
  const { guest } = session
  const agent = await session.agent(signal)
  const [usage, own, net, inside] = await Promise.all([
    guest.usage({ signal }),
    kind === 'runc' ? containerFigures(guest, signal) : kernelFigures(agent, signal),
    readText(agent, '/proc/net/dev', signal),
    agent.stats({ signal }),
  ])
  const baseline = baselineOf(guest.spec.cpu)
  return [
    gauge('fly_instance_cpu_baseline', baseline.quotaUs / baseline.periodUs),
    counted('fly_instance_cpu_throttle', Number(usage.throttledNs) / CENTISECOND_NS),
    ...own,
    ...netFigures(net),
    ...inside.disks.flatMap((disk) => filesystemFigures(disk)),
  ]
}

async function kernelFigures(agent: Agent, signal: AbortSignal): Promise<Figure[]> {
  const read = (path: string) => readText(agent, path, signal)
  const [meminfo, stat, loadavg, disks, files] = await Promise.all([
    read('/proc/meminfo'),
    read('/proc/stat'),
    read('/proc/loadavg'),
    read('/proc/diskstats'),
    read('/proc/sys/fs/file-nr'),
  ])
  return [
    ...memoryFigures(meminfo),
    ...cpuFigures(stat),
    ...loadFigures(loadavg),
    ...diskFigures(disks),
    ...fileFigures(files),
  ]
}

/** All its CPUs as one: its control group knows no single ones. */
async function containerFigures(guest: Guest, signal: AbortSignal): Promise<Figure[]> {
  const [{ limitMib, availableMib = 0 }, usage] = await Promise.all([
    guest.memory({ signal }),
    guest.usage({ signal }),
  ])
  const total = limitMib * MIB
  const free = Math.max(0, total - usage.memoryBytes)
  const available = Math.max(free, availableMib * MIB)
  const cpu = (mode: string, ns: bigint) =>
    counted('fly_instance_cpu', Math.floor(Number(ns) / CENTISECOND_NS), { cpu_id: '0', mode })
  return [
    gauge('fly_instance_memory_mem_total', total),
    gauge('fly_instance_memory_mem_free', free),
    gauge('fly_instance_memory_mem_available', available),
    gauge('fly_instance_memory_cached', available - free),
    cpu('user', usage.userNs),
    cpu('system', usage.systemNs),
  ]
}

function filesystemFigures(disk: {
  path: string
  totalBytes: number
  freeBytes: number
}): Figure[] {
  const labels = { mount: disk.path }
  const name = (what: string) => `fly_instance_filesystem_${what}`
  return [
    gauge(name('block_size'), BLOCK_BYTES, labels),
    gauge(name('blocks'), Math.floor(disk.totalBytes / BLOCK_BYTES), labels),
    gauge(name('blocks_avail'), Math.floor(disk.freeBytes / BLOCK_BYTES), labels),
  ]
}

const counted = (name: string, value: number, labels?: Figure['labels']): Figure => ({
  ...gauge(name, value, labels),
  type: 'counter',
})

/** A look at a file in /proc takes milliseconds; one that does not end is given up, and tried once more. */
const READ_MS_MAX = 1_500

async function readText(agent: Agent, path: string, signal: AbortSignal): Promise<string> {
  try {
    using deadline = startDeadline(`reading ${path}`, READ_MS_MAX, { signal })
    return await readOnce(agent, path, deadline.signal)
  } catch {
    signal.throwIfAborted()
    return await readOnce(agent, path, signal)
  }
}

/** As much of it as is taken; the guest notices that nobody reads on. */
async function readOnce(agent: Agent, path: string, signal: AbortSignal): Promise<string> {
  const file: Readable = await agent.getFile(path, { signal })
  const whole = (async () => {
    const parts: Buffer[] = []
    let bytes = 0
    for await (const part of file as AsyncIterable<Buffer>) {
      parts.push(part)
      bytes += part.length
      if (bytes >= FILE_BYTES_MAX) break
    }
    return Buffer.concat(parts).toString()
  })()
  try {
    return await unlessAborted(whole, signal)
  } catch (error) {
    file.destroy()
    throw error
  }
}
