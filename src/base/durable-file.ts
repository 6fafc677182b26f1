import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Makes what was written to a file, or the names in a folder, survive a power cut. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Puts a synced file where others look for it: they see all of it or nothing. */
export async function publish(from: string, to: string): Promise<void> {
  await rename(from, to)
  await syncPath(dirname(to))
}

/**
 * Writes a small file whole, readable by its owner alone, or leaves the old one. Durable when it resolves. A process that
 * dies may leave a draft, `<path>.new`.
 */
export async function writeDurably(path: string, bytes: string | Uint8Array): Promise<void> {
  const draft = `${path}.new`
  const handle = await open(draft, 'w', 0o600)
  try {
    await handle.writeFile(bytes)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await publish(draft, path)
}
