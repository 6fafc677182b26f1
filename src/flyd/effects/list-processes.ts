import { buffer } from 'node:stream/consumers'
import { GodwitError } from '#base'
import type { Agent } from '#guest'
import { listenSockets } from './listen-sockets.ts'

/** Processes that are told; a machine may have more. */
const PROCESSES_MAX = 512
const TICKS_PER_SECOND = 100
const PAGE_BYTES = 4096

/**
 * The processes of a machine, as its own /proc tells them: all are descendants of init, whose children the
 * kernel lists. Source: proc(5).
 */
export async function listProcesses(
  agent: Agent,
  signal: AbortSignal,
): Promise<Record<string, unknown>[]> {
  const read = async (path: string): Promise<Buffer | undefined> => {
    try {
      return await buffer(await agent.getFile(path, { signal }))
    } catch (error) {
      if (signal.aborted) throw signal.reason
      if (error instanceof GodwitError) return undefined // it ended meanwhile
      throw error
    }
  }
  const uptimeS = Number((await read('/proc/uptime'))?.toString().split(' ')[0] ?? 0)
  const found = new Map<number, Record<string, unknown>>()
  const waiting = await childrenOf(1, read)
  for (let pid = waiting.shift(); pid !== undefined; pid = waiting.shift()) {
    if (found.size >= PROCESSES_MAX) break
    const [stat, command, children] = await Promise.all([
      read(`/proc/${pid}/stat`),
      read(`/proc/${pid}/cmdline`),
      childrenOf(pid, read),
    ])
    waiting.push(...children)
    if (stat !== undefined) found.set(pid, processJson(pid, stat.toString(), command, uptimeS))
  }
  const sockets = await listenSockets([...found.keys()], read)
  return Array.from(found, ([pid, json]) => ({ ...json, listen_sockets: sockets.get(pid) ?? [] }))
}

async function childrenOf(
  pid: number,
  read: (path: string) => Promise<Buffer | undefined>,
): Promise<number[]> {
  const text = (await read(`/proc/${pid}/task/${pid}/children`))?.toString() ?? ''
  return text.split(' ').filter(Boolean).map(Number)
}

function processJson(pid: number, stat: string, command: Buffer | undefined, uptimeS: number) {
  // The name stands in parentheses, and may hold anything.
  const [open, close] = [stat.indexOf('('), stat.lastIndexOf(')')]
  const fields = stat.slice(close + 2).split(' ')
  const field = (number: number) => Number(fields[number - 3] ?? 0)
  const argv = (command ?? Buffer.alloc(0)).toString().split('\0').filter(Boolean)
  const startedS = field(22) / TICKS_PER_SECOND
  return {
    pid,
    stime: Math.round(field(15) / TICKS_PER_SECOND),
    rtime: Math.max(0, Math.round(uptimeS - startedS)),
    command: argv.length > 0 ? argv.join(' ') : stat.slice(open + 1, close),
    directory: '',
    cpu: Math.round((field(14) + field(15)) / TICKS_PER_SECOND),
    rss: field(24) * PAGE_BYTES,
  }
}
