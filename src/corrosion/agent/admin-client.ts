import { connect } from 'node:net'
import { errorCode, startDeadline } from '#base'
import { FrameReader } from '../wire/frame.ts'
import { ADMIN_FRAME_BYTES_MAX, type AdminFrame, encodeAdmin } from './admin-protocol.ts'
import { SyncError } from './errors.ts'

const ANSWER_MS = 60_000

/**
 * Gives an agent a command and yields what it answers, logs included.
 * @throws SyncError sync.agent_away, sync.command_failed; BaseError base.deadline_exceeded
 */
export async function* askAgent(path: string, command: unknown): AsyncGenerator<AdminFrame> {
  using deadline = startDeadline('the answer of the agent', ANSWER_MS)
  const socket = connect({ path, signal: deadline.signal })
  const frames = new FrameReader(ADMIN_FRAME_BYTES_MAX)
  try {
    socket.write(encodeAdmin(command))
    for await (const chunk of socket) {
      frames.push(chunk as Buffer)
      for (let frame = frames.next(); frame !== undefined; frame = frames.next()) {
        const answer = JSON.parse(Buffer.from(frame).toString()) as AdminFrame
        if (answer === 'Success') return
        if ('Error' in answer) {
          throw new SyncError('sync.command_failed', { what: String(answer.Error.msg) })
        }
        yield answer
      }
    }
    throw away(path, 'the connection ended early')
  } catch (error) {
    deadline.signal.throwIfAborted()
    if (error instanceof SyncError) throw error
    throw away(path, errorCode(error) ?? String(error), error)
  } finally {
    socket.destroy()
  }
}

function away(path: string, why: string, cause?: unknown): SyncError {
  return new SyncError('sync.agent_away', {
    what: 'no agent answers on the admin socket',
    values: { path, why },
    fix: 'start the agent (godwit corrosion agent -c FILE), or name its socket with --admin-path',
    cause,
  })
}

/** @throws SyncError sync.agent_running when an agent answers on the socket */
export async function refuseWhileRunning(path: string): Promise<void> {
  try {
    for await (const _ of askAgent(path, 'Ping'));
  } catch (error) {
    if (error instanceof SyncError && error.code === 'sync.agent_away') return
    throw error
  }
  throw new SyncError('sync.agent_running', {
    what: 'corrosion is currently running, shut it down before restoring!',
    values: { path },
  })
}
