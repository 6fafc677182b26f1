import { open } from 'node:fs/promises'
import { nextData } from './libc.ts'

/** A chunk of the thin pool: smaller pieces of zeros cost as much as bytes. */
const PIECE_BYTES = 64 << 10
const BUFFER_BYTES = 16 * PIECE_BYTES
const zeros = Buffer.alloc(PIECE_BYTES)

/** Writes a file over a device of zeros, without holes and zeros, and waits until it is on disk. */
export async function copyToZeros(from: string, to: string, signal?: AbortSignal): Promise<void> {
  const source = await open(from, 'r')
  try {
    const target = await open(to, 'r+')
    try {
      const buffer = Buffer.alloc(BUFFER_BYTES)
      for (let at = nextData(source.fd, 0); at !== undefined; ) {
        signal?.throwIfAborted()
        const { bytesRead } = await source.read(buffer, 0, BUFFER_BYTES, at)
        if (bytesRead === 0) break
        for (let piece = 0; piece < bytesRead; piece += PIECE_BYTES) {
          const bytes = buffer.subarray(piece, Math.min(piece + PIECE_BYTES, bytesRead))
          if (!bytes.equals(zeros.subarray(0, bytes.length)))
            await writeAll(target, bytes, at + piece)
        }
        at = nextData(source.fd, at + bytesRead)
      }
      await target.sync()
    } finally {
      await target.close()
    }
  } finally {
    await source.close()
  }
}

type Writable = Pick<Awaited<ReturnType<typeof open>>, 'write'>

async function writeAll(target: Writable, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await target.write(bytes, done, bytes.length - done, at + done)).bytesWritten
  }
}
