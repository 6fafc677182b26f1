import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { errorCode } from '#base'
import { type Agent, exitCodeOf, type GuestProcess } from '#guest'
import { feed } from './feed.ts'
import { encodeFrame, encodeJson, type Frame, FrameKind, type KeeperRequest, send } from './wire.ts'

/** Runs a command beside the machine's own, for as long as whoever asked is there. */
export async function serveExec(
  agent: Agent,
  socket: Socket,
  frames: AsyncGenerator<Frame>,
  { argv, env, user, cwd, size }: Extract<KeeperRequest, { op: 'exec' }>,
): Promise<void> {
  const child = await agent.exec({
    argv,
    ...(env === undefined ? {} : { env }),
    ...(user === undefined ? {} : { user }),
    ...(cwd === undefined ? {} : { cwd }),
    ...(size === undefined ? {} : { tty: size }),
  })
  child.stdin.on('error', () => undefined) // it closed its input
  socket.once('close', () => child.abandon())
  socket.write(encodeFrame(FrameKind.done))
  void takeInput(child, frames).catch(() => child.abandon())
  await Promise.all([
    passOn(child.stdout, FrameKind.stdout, socket),
    passOn(child.stderr, FrameKind.stderr, socket),
  ])
  const exit = { code: exitCodeOf(await child.ended), isOutOfMemory: false, atMs: Date.now() }
  socket.end(encodeJson(FrameKind.exit, exit))
}

async function takeInput(child: GuestProcess, frames: AsyncGenerator<Frame>): Promise<void> {
  for await (const { kind, payload } of frames) {
    if (kind === FrameKind.stdin) await feed(child.stdin, payload)
    else if (kind === FrameKind.stdinEnd) child.stdin.end()
    else if (kind === FrameKind.resize) child.resize(JSON.parse(payload.toString()))
    else if (kind === FrameKind.signal) await child.signal(JSON.parse(payload.toString()))
  }
}

async function passOn(from: Readable, kind: FrameKind, socket: Socket): Promise<void> {
  try {
    for await (const bytes of from) await send(socket, encodeFrame(kind, bytes))
  } catch (error) {
    if (errorCode(error) !== 'ERR_STREAM_PREMATURE_CLOSE') throw error
  }
}
