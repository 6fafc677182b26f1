import { once } from 'node:events'
import type { Socket } from 'node:net'
import { startDeadline } from '#base'
import type { GuestSpec } from './guest-spec.ts'
import { ended } from './guest-state.ts'
import type { RuntimeCall } from './runtime.ts'

const CHANNEL_MS = 10_000

/** Waits for a socket to a machine's init. @throws GuestError guest.ended: nobody is there */
export async function untilConnected(socket: Socket, spec: GuestSpec, call: RuntimeCall) {
  const { deadlineMs = CHANNEL_MS } = call
  using deadline = startDeadline('the channel to the machine', deadlineMs, call)
  try {
    await once(socket, 'connect', { signal: deadline.signal })
  } catch (cause) {
    socket.destroy()
    deadline.signal.throwIfAborted()
    throw ended(spec, cause)
  }
}
