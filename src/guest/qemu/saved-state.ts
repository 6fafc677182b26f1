/**
 * A machine's whole state as one stream of QEMU's: to a file, and back into a fresh QEMU. QEMU may open no
 * file, so it connects to a socket in its folder, and we write the file. Only a QEMU of the same version,
 * with the same devices, takes it.
 */
import { once } from 'node:events'
import { chownSync, createWriteStream, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { startDeadline } from '#base'
import type { GuestFolder } from '../guest-folder.ts'
import type { RuntimeCall } from '../runtime.ts'
import { userIdOf } from '../user-id.ts'
import { inside } from './command-line.ts'
import { QmpError } from './errors.ts'
import { RUN_FOLDER } from './launch.ts'
import type { QmpClient } from './qmp-client.ts'
import type { QmpEvent } from './qmp-session.ts'

/** Bytes in a second: as fast as it goes. The machine stands still meanwhile. */
const BANDWIDTH_MAX = 2 ** 40
const SAVE_MS = 120_000
const LOAD_MS = 60_000

/**
 * Stops the machine and writes its state to `path`, which may not be there yet. The machine stays stopped;
 * `cont` lets it go on also after a failure.
 *
 * @throws QmpError guest.qmp_refused, guest.qmp_lost; BaseError base.deadline_exceeded; errors of the file.
 */
export async function saveState(
  qmp: QmpClient,
  folder: GuestFolder,
  path: string,
  call: RuntimeCall = {},
): Promise<void> {
  using deadline = startDeadline('saving the machine', call.deadlineMs ?? SAVE_MS, call)
  const { signal } = deadline
  await qmp.ask('stop', undefined, { signal })
  await tellEvents(qmp, signal)
  await qmp.ask('migrate-set-parameters', { 'max-bandwidth': BANDWIDTH_MAX }, { signal })
  const socketPath = join(folder.path, RUN_FOLDER, 'save.sock')
  const server = createServer()
  const over = new AbortController()
  const either = AbortSignal.any([signal, over.signal])
  try {
    await listen(server, socketPath, userIdOf(folder.id), signal)
    const connected = once(server, 'connection', { signal: either }) as Promise<[Socket]>
    const ended = qmp.waitFor(isMigrationOver, deadline)
    await Promise.all([
      qmp.ask('migrate', { uri: `unix:${inside.saveSocket}` }, { signal }),
      connected.then(([socket]) =>
        pipeline(socket, createWriteStream(path, { flags: 'wx', mode: 0o600 }), { signal: either }),
      ),
      ended.then(mustBeComplete),
    ])
  } finally {
    over.abort()
    server.close()
    rmSync(socketPath, { force: true })
  }
}

async function listen(server: Server, path: string, uid: number, signal: AbortSignal) {
  rmSync(path, { force: true }) // of a manager that was killed
  server.listen(path)
  await once(server, 'listening', { signal })
  chownSync(path, uid, uid)
}

/** Into a QEMU that waits for it; afterwards the machine stands as it was saved. */
export async function loadState(
  qmp: QmpClient,
  descriptor: number,
  call: RuntimeCall = {},
): Promise<void> {
  using deadline = startDeadline('loading the machine', call.deadlineMs ?? LOAD_MS, call)
  const { signal } = deadline
  await tellEvents(qmp, signal)
  const ended = qmp.waitFor(isMigrationOver, deadline)
  const [, event] = await Promise.all([
    qmp.ask('migrate-incoming', { uri: `fd:${descriptor}` }, { signal }),
    ended,
  ])
  mustBeComplete(event)
}

async function tellEvents(qmp: QmpClient, signal: AbortSignal): Promise<void> {
  const capabilities = [{ capability: 'events', state: true }]
  await qmp.ask('migrate-set-capabilities', { capabilities }, { signal })
}

const isMigrationOver = ({ name, data }: QmpEvent) =>
  name === 'MIGRATION' && ['completed', 'failed', 'cancelled'].includes(String(data['status']))

function mustBeComplete({ data }: QmpEvent): void {
  if (data['status'] === 'completed') return
  throw new QmpError('guest.qmp_refused', {
    what: "QEMU could not move the machine's state",
    values: { status: String(data['status']) },
  })
}
