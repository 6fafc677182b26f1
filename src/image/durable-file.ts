import { mkdir, open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Makes names in `folder` survive a power cut. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Puts a synced file where others look for it: they see all of it or nothing. */
export async function publish(from: string, to: string): Promise<void> {
  await rename(from, to)
  await syncFolder(dirname(to))
}

/** Writes a small file whole, or leaves the old one. */
export async function writeDurably(path: string, bytes: string | Uint8Array): Promise<void> {
  const handle = await open(`${path}.new`, 'w', 0o600)
  try {
    await handle.writeFile(bytes)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await publish(`${path}.new`, path)
}

export async function ensureFolders(...folders: string[]): Promise<void> {
  for (const folder of folders) await mkdir(folder, { recursive: true, mode: 0o700 })
}
