import type { Writable } from 'node:stream'

/** Waits until the process takes more, so that a large input waits where it comes from. */
export async function feed(input: Writable, bytes: Buffer): Promise<void> {
  if (input.destroyed || input.write(bytes)) return
  const { promise, resolve } = Promise.withResolvers<void>()
  input.once('drain', resolve).once('close', resolve)
  await promise
  input.off('drain', resolve).off('close', resolve)
}
