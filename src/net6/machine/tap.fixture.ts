/** A VMM's side of a tap, in a process that stands in the machine's namespace: frames in and out. */
import { spawn } from 'node:child_process'
import { basename } from 'node:path'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { pollUntil } from '#base'
import type { System } from '../system.ts'

const PROGRAM = fileURLToPath(new URL('tap-program.fixture.ts', import.meta.url))

export interface OpenTap {
  /** What came out of the tap so far. */
  readonly frames: readonly Buffer[]
  send(frame: Buffer): void
}

export async function openTap(
  t: TestContext,
  system: System,
  { netnsPath, device }: { netnsPath: string; device: string },
): Promise<OpenTap> {
  const inside = ['ip', 'netns', 'exec', basename(netnsPath)]
  const program = [process.execPath, '--disable-warning=ExperimentalWarning', PROGRAM, device]
  const [command = '', ...args] = [...system.enter, ...inside, ...program]
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = new Promise((resolve) => child.once('close', resolve))
  t.after(async () => {
    child.kill('SIGKILL')
    await ended
  })
  const lines: string[] = []
  createInterface(child.stdout).on('line', (line) => lines.push(line))
  await pollUntil('the tap', () => lines.includes('open'), { deadlineMs: 20_000 })
  return {
    get frames() {
      return lines.slice(1).map((line) => Buffer.from(line, 'hex'))
    },
    send: (frame) => child.stdin.write(`${frame.toString('hex')}\n`),
  }
}
