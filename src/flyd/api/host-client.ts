import type { MachineHost } from '../host.ts'
import type { HostOperations } from '../host-operations.ts'
import { type HostCallName, hostCalls } from './host-calls.ts'
import type { HostConnection } from './host-connection.ts'
import { streamPath } from './stream-server.ts'

/** Of calls that say nothing of their own duration. Creating is accepting: the rest goes on without us. */
const CALL_MS_MAX = 30_000
/** The way there and back, beside what the call itself waits for. */
const AROUND_MS = 5_000

export interface RemoteHost extends MachineHost {
  readonly operations: HostOperations
}

/** Another host: each method is a call of its API. */
export function hostClient(connection: () => HostConnection): RemoteHost {
  const methods: Record<string, unknown> = {}
  const parts: Record<string, Record<string, unknown>> = {
    ...{ volumes: {}, migration: {}, operations: {} },
  }
  for (const [name, { kind }] of hostCalls) {
    const method = async (...given: unknown[]) => {
      const signal = given.at(-1) as AbortSignal
      const args = given.slice(0, -1)
      const deadlineMs = deadlineOf(args)
      const result = await connection().call(name, kind, args, { signal, deadlineMs })
      return result ?? undefined // JSON has no undefined
    }
    const [part, inner] = partsOf(name)
    const owner = inner === undefined ? methods : parts[part]
    if (owner !== undefined) owner[inner ?? part] = method
  }
  const connect: MachineHost['connect'] = (id, { port }, signal) =>
    connection().openStream(streamPath(id, port), signal)
  return { ...methods, ...parts, connect } as unknown as RemoteHost
}

function partsOf(name: HostCallName): [string, string | undefined] {
  const [part = '', inner] = name.split('.')
  return [part, inner]
}

/** Calls that wait say how long: the last argument has it. */
function deadlineOf(args: readonly unknown[]): number {
  const options = args.at(-1)
  if (typeof options !== 'object' || options === null || !('timeoutMs' in options)) {
    return CALL_MS_MAX
  }
  const ms = Number(options.timeoutMs)
  return Number.isFinite(ms) ? Math.max(CALL_MS_MAX, ms + AROUND_MS) : CALL_MS_MAX
}
