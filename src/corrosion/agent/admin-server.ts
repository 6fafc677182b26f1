import { rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import type { Log } from '#base'
import { FrameReader } from '../wire/frame.ts'
import { runAdminCommand } from './admin-commands.ts'
import { ADMIN_FRAME_BYTES_MAX, type AdminFrame, encodeAdmin } from './admin-protocol.ts'
import type { AgentView } from './agent-view.ts'

/** The admin socket of an agent: who may open the file may command it. */
export class AdminServer {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #path: string

  private constructor(agent: AgentView, path: string, log: Log) {
    this.#path = path
    this.#server = createServer((socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
      socket.on('error', (error) => log.debug({ err: error }, 'an admin connection broke'))
      const frames = new FrameReader(ADMIN_FRAME_BYTES_MAX)
      socket.on('data', (chunk: Buffer) => {
        try {
          frames.push(chunk)
          for (let frame = frames.next(); frame !== undefined; frame = frames.next()) {
            for (const answer of answersTo(agent, frame)) socket.write(encodeAdmin(answer))
          }
        } catch (error) {
          socket.end(encodeAdmin({ Error: { msg: (error as Error).message } }))
        }
      })
    })
  }

  /** @throws what listening says. A socket file that a killed agent left is replaced. */
  static async listen(agent: AgentView, path: string, log: Log): Promise<AdminServer> {
    const admin = new AdminServer(agent, path, log)
    rmSync(path, { force: true })
    const before = process.umask(0o077)
    try {
      await new Promise<void>((resolve, reject) => {
        admin.#server.once('error', reject)
        admin.#server.listen(path, () => resolve())
      })
    } finally {
      process.umask(before)
    }
    return admin
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
    })
    rmSync(this.#path, { force: true })
  }
}

function* answersTo(agent: AgentView, frame: Uint8Array): Generator<AdminFrame> {
  let command: unknown
  try {
    command = JSON.parse(Buffer.from(frame).toString())
    yield* runAdminCommand(agent, command)
    yield 'Success'
  } catch (error) {
    yield { Error: { msg: (error as Error).message } }
  }
}
