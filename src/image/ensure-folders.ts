import { mkdir } from 'node:fs/promises'

/** Makes those that are missing, for root alone. */
export async function ensureFolders(...folders: string[]): Promise<void> {
  for (const folder of folders) await mkdir(folder, { recursive: true, mode: 0o700 })
}
