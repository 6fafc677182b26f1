import type { KeeperCall, LocalExit } from '#local'
import { encodeFrame, encodeJson, FrameKind } from '#local'

export interface TerminalSize {
  readonly columns: number
  readonly rows: number
}

/** Of this terminal; undefined when there is none. */
export function terminalSize(): TerminalSize | undefined {
  return process.stdout.isTTY && process.stdin.isTTY ? presentSize() : undefined
}

/** A serial line says 0. */
function presentSize(): TerminalSize {
  const { columns, rows } = process.stdout
  return { columns: columns || 80, rows: rows || 24 }
}

/**
 * Joins this process's streams with those of a command in a machine until it ends. With a terminal, every
 * key goes there: Ctrl-C too. The terminal is as it was afterwards.
 */
export async function joinStreams(
  call: KeeperCall,
  { isTty, takesInput }: { readonly isTty: boolean; readonly takesInput: boolean },
): Promise<LocalExit> {
  const { socket } = call
  const onInput = (bytes: Buffer) => {
    if (!socket.write(encodeFrame(FrameKind.stdin, bytes))) {
      process.stdin.pause()
      socket.once('drain', () => process.stdin.resume())
    }
  }
  const onInputEnd = () => void socket.write(encodeFrame(FrameKind.stdinEnd))
  const onResize = () => {
    void socket.write(encodeJson(FrameKind.resize, presentSize()))
  }
  if (isTty) {
    process.stdin.setRawMode(true)
    process.stdout.on('resize', onResize)
  }
  if (takesInput) process.stdin.on('data', onInput).on('end', onInputEnd)
  try {
    return await showOutput(call)
  } finally {
    process.stdin.off('data', onInput).off('end', onInputEnd)
    process.stdout.off('resize', onResize)
    if (isTty) process.stdin.setRawMode(false)
    if (takesInput) process.stdin.destroy()
  }
}

async function showOutput(call: KeeperCall): Promise<LocalExit> {
  for await (const { kind, payload } of call.frames()) {
    if (kind === FrameKind.stdout) await write(process.stdout, payload)
    else if (kind === FrameKind.stderr) await write(process.stderr, payload)
    else if (kind === FrameKind.exit) return JSON.parse(payload.toString()) as LocalExit
  }
  throw new TypeError('frames() ends with an exit or throws')
}

/** A slow reader of our output makes the command wait. */
async function write(stream: NodeJS.WriteStream, bytes: Buffer): Promise<void> {
  if (stream.write(bytes)) return
  await new Promise<void>((resolve) => stream.once('drain', resolve))
}
